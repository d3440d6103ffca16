"""Incremental equals rebuild, by value."""
