"""Sample exports, as dirty as the real ones, and their exact truth."""
