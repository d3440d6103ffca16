"""Where a number comes from, and what moved it: explain, diff, preview."""
