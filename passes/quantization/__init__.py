"""Passes that store and compute numbers in fewer bits, and those that bring a model into shape for it."""
