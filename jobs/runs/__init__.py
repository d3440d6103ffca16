"""Runs: what is said while sources are fetched and tables brought up to date, once or again and again."""
