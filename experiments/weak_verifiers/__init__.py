"""Weak verifiers on real candidates."""
