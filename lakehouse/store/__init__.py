"""Bytes: folders and S3, the cache folder, MinIO in the house."""
