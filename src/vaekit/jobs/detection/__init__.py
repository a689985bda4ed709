"""Odd rows of a table: members trained on halves of it, p-values, and the values to blame."""
