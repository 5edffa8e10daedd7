"""What each pass promises of itself; checks and the driver rely on it."""

from __future__ import annotations

from graphopt.pipeline import default_catalog

EXACT = {
    "calibrate",
    "cse",
    "dce",
    "dedup-initializers",
    "drop-zero-states",
    "eliminate-identities",
    "fold",
    "fold-sequences",
    "freeze-initializers",
    "inline",
    "lift-constants",
    "merge-casts",
    "merge-clips",
    "merge-concats",
    "merge-gathers",
    "merge-pads",
    "merge-reshapes",
    "merge-slices",
    "merge-transposes",
    "rematerialize",
    "reorder",
    "simplify-algebra",
    "simplify-control-flow",
    "simplify-shapes",
    "sink-reshapes",
    "slices-to-split",
    "views-to-depth",
}
"""Every bit of every output stays."""
ONLY_REMOVES = {
    "calibrate",
    "dce",
}
"""Of what stays nothing changes that shape inference looks at."""
FREEZES = {
    "freeze-initializers",
}
"""Inputs with a default become constants."""
LOSSY = {
    "correct-bias",
    "factorize",
    "prune-blocks",
    "prune-channels",
    "prune-weights",
    "quantize-dynamic",
    "quantize-static",
    "quantize-weights",
    "round-weights",
    "to-half",
}
"""Numbers are stored in fewer bits, or left out."""


def test_promises() -> None:
    catalog = default_catalog()
    assert {name for name, each in catalog.items() if getattr(each, "exact", False)} == EXACT
    assert {name for name, each in catalog.items() if getattr(each, "only_removes", False)} == ONLY_REMOVES
    assert {name for name, each in catalog.items() if not getattr(each, "keeps_defaults", True)} == FREEZES
    assert {name for name, each in catalog.items() if getattr(each, "lossy", False)} == LOSSY
