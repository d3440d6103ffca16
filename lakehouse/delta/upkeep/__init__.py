"""OPTIMIZE, VACUUM and the cleaning of logs, of one table."""
