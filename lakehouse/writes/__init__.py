"""The ways of writing a computed table (append, refresh, replace), and its checks."""
