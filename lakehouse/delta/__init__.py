"""Delta tables by their protocol: log, files and vectors, one committer, one reader of changes, notes of progress."""
