"""How a table changes: the one committer, several writers, rows that leave, and the core's own small tables."""
