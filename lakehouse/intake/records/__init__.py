"""What is kept of deliveries: the ledger, what was taken back, how their columns changed."""
