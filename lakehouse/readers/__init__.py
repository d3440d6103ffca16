"""Delivered files as exact text: CSV and JSON by one grammar each, typed cells in one way; nothing is guessed."""
