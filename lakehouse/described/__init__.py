"""How a source is fetched, as its contract describes it: what all have together (terms), and each kind."""
