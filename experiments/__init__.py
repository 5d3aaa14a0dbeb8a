"""Reproducible experiments and benchmarks; run from a clone, not part of the installed package."""
