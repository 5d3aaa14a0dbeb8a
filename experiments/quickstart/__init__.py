"""The quickstart's result, kept as it came out of one run."""
