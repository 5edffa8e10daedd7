"""The samples on which passes of pruning tell what matters, and to which they fit weights."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from graphopt.execute import samples_for

MOST_SAMPLES = 128
"""Samples that tell importance and fit weights."""


def samples_to_fit(model: ir.Model, data: str) -> list[Mapping[str, Any]]:
    """The first samples of data that are named, else of those handed over with the model; none without.

    Raises:
        DataError: One does not fit the model or holds NaN.
    """
    return list(itertools.islice(samples_for(model, data) or (), MOST_SAMPLES))
