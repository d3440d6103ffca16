"""Files whose cells have types: Parquet and spreadsheets, as the same exact text that a CSV would hold."""
