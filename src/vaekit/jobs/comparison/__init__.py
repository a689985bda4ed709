"""A made-up table beside a real one: how alike, how useful, and how near to single rows."""
