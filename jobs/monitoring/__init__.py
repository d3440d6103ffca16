"""For who watches: people told of what is wrong, and numbers for Prometheus."""
