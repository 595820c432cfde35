"""A migration to look at: two PostgreSQL servers of our own, real data, and the command that moves it."""
