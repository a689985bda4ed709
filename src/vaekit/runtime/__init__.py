"""How torch is run: seeded noise, rows in pieces, compilation, threads."""
