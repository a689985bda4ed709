"""Holes of a table filled in: the imputer, its networks and trees, cells hidden again, and results put together."""
