"""The language of specs: names with options, and scalars that follow a schedule. Needs only the standard library."""
