"""For who asks: the prompt of SQL, and gold in PostgreSQL and Trino."""
