"""The four ways of writing a table (append, latest, refresh, replace), its rules and checks."""
