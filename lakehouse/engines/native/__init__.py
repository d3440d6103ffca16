"""Sail, in this process: what computes (engine), what answers questions (flight), its door, memory and files."""
