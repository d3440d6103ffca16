"""Which delivery of a document is right, and kept: parsed, judged by rules, held against those before it."""
