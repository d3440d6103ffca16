"""From an API or a database to files in landing: a fetch lands a window, page by page, exactly as it was received."""
