"""Made-up rows: the columns of a table as codes, the model of codes, new ids, and values that are given."""
