"""Passes in order: what a pass is, pipelines as text, records, and bisecting to a guilty pass."""

from __future__ import annotations

from graphopt.pipeline.base import Outcome, Pass, RewritePass
from graphopt.pipeline.bisect import Guilty, bisect
from graphopt.pipeline.blame import FailedPassError, described
from graphopt.pipeline.catalog import default_catalog
from graphopt.pipeline.pipeline import Observer, Pipeline, PipelineResult, Record
from graphopt.pipeline.spec import Group, Item, format_item, make_pass

__all__ = [
    "FailedPassError",
    "Group",
    "Guilty",
    "Item",
    "Observer",
    "Outcome",
    "Pass",
    "Pipeline",
    "PipelineResult",
    "Record",
    "RewritePass",
    "bisect",
    "default_catalog",
    "described",
    "format_item",
    "make_pass",
]
