"""Which columns each column is made from, by what build() returns; and OpenLineage's events of what a run wrote."""
