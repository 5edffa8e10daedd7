"""Idioms written out, as exporters do and nearly so: near misses are where fusions go wrong."""

from __future__ import annotations

from graphopt.testing.generate.recipes.idioms import (
    activations,
    attention,
    computed_shapes,
    images,
    layouts,
    rows,
    tables,
)

__all__ = ["activations", "attention", "computed_shapes", "images", "layouts", "rows", "tables"]
