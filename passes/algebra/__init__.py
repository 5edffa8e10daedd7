"""Passes that rewrite arithmetic by its laws: cheaper operators, common factors, terms in another order."""
