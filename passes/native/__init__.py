"""Passes for the target `native`: regions of the graph become programs of graphopt's own engine."""
