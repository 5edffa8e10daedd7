"""Recipes of operators whose operands must fit each other, one file for each family; importing registers them."""

from graphopt.testing.generate.recipes import elementwise

__all__ = ["elementwise"]
