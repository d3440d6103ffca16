"""For people and tools that read: SQL by table names, the page of documentation, what stands in quarantine."""
