"""The report of a release as one HTML page, and the same served with choices."""
