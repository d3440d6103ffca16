"""The documentation: of one lake as one HTML page, of the project as a site, and its pictures."""
