"""Running torch: seeded noise, rows in pieces, compilation, threads."""
