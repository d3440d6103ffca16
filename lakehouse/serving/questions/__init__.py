"""Questions in SQL: what may be asked, of which tables, and answers that are kept."""
