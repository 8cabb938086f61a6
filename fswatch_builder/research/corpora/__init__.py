"""Trees to measure on. A made one is pinned by its recipe: the same bytes, names and modes every time, everywhere."""
