"""Trino, for many who ask at once: one that runs on this machine (server), and what it shows of releases (schemas)."""
