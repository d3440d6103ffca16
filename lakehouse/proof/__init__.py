"""Incremental equals rebuild, by value; and where a number comes from."""
