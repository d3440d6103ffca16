"""Bytes and versions: folders and S3, the Delta log and its files, commits with their progress, MinIO. No engine."""
