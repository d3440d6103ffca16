"""From a delivery to rows: what lies in landing, the ledger of it, its rows as frames, changes of columns."""
