"""What runs did: a row per table, what was measured, and where the rows went."""
