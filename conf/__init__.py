"""Packaged configurations: studies here, groups `task`, `models` and `hardware` below."""
