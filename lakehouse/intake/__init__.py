"""From a delivery to rows: what lies in landing, the ledger of it, the readers of CSV and JSON, changes of columns."""
