"""How it looks when a number is proved, explained, or followed column by column."""
