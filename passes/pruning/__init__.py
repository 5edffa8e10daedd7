"""Passes that take weights away, or write them in fewer numbers."""
