"""Deliveries as rows of bronze: of files, and of messages of a topic."""
