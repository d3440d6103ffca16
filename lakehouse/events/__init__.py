"""`write: deduplicate`: rows that count by themselves, such as events: each is judged alone, and an id counts once."""
