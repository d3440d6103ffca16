"""Drafts of tables, to be read and corrected: `source.draft` of a source by a file, `table.draft` by another table."""
