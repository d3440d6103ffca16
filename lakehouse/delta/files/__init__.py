"""Rows in files: Parquet, the vectors that hide some, and what commits changed of them."""
