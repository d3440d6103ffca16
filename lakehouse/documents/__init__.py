"""`write: latest`: from delivered rows to documents: which delivery of each is kept, and what stands in quarantine."""
