"""Passes that take channels, heads or single weights out of a model, or write weights in fewer numbers."""
