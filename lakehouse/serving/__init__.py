"""For people and tools that read: SQL by table names, and the page of documentation."""
