"""Two small models on a small machine without a GPU, at 1, 4 and 16 queries in flight."""
