"""Placement: an offset for each buffer in the smallest arena that can be found in some time."""

from graphopt.memory.placement.place import place

__all__ = ["place"]
