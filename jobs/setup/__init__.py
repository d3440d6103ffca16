"""What comes first: drafts of tables, and what else runs on this machine: jars of Spark, MinIO, Kafka."""
