"""Conditions on the rows of a table: their grammar, their truth, and rows drawn until they meet them."""
