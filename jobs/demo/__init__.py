"""`lakehouse demo`: two days of exports, a shop to fetch from, a day of users' traffic."""
