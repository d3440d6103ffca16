"""CSV and JSON as exact text: one grammar each, stream by stream, nothing guessed and nothing dropped."""
