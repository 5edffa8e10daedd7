"""Passes that take channels, heads and hidden elements out of a model."""
