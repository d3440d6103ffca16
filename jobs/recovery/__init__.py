"""How it looks when releases are made and gone back to, and lakes checked and maintained."""
