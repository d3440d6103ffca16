"""What lies in landing: found, looked into, and by its path."""
