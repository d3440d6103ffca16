"""What a table is, by its log: files, schema, protocol, and the notes of progress in its commits."""
