"""Hypothesis strategies: valid models with inputs on which they run, and pipelines to run on them.

A test draws as many models as it wants:

    @given(model=models(around=MyPass()))
    def test_my_pass(model):
        check_pass(MyPass(), model)

Importing this module imports Hypothesis.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import hypothesis
import onnx_ir as ir
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from graphopt.pipeline import Pipeline
from graphopt.pipeline.spec import Catalog
from graphopt.testing.aim import aimed
from graphopt.testing.generate import DTYPES, OPSETS, Choices, Seeded, Spec, Unfit
from graphopt.testing.generate.choices import Plain
from graphopt.testing.generate.model import begin_model
from graphopt.testing.pipelines import random_pipeline

_SEEDS = 1 << 16
_PLAIN_SEEDS = 1 << 8
"""The first seeds, which Hypothesis tries when it makes an example simpler, give plain nodes."""


class Drawn(Choices):
    """Decisions that Hypothesis makes, and makes simpler.

    Each node follows from one integer, so that an example has few of them and any can be taken out: the time
    to make examples simpler goes with the square of their number.

    Args:
        draw: Of a composite strategy.
    """

    def __init__(self, draw: DrawFn) -> None:
        self._draw = draw
        self._node: Choices | None = None

    def integer(self, low: int, high: int) -> int:
        if self._node is not None:
            return self._node.integer(low, high)
        return self._draw(_integers(low, high))

    def attempt(self, act: Callable[[], bool], tries: int) -> bool:
        if self._node is not None:
            return super().attempt(act, tries)
        seed = self.integer(0, _SEEDS - 1)
        self._node = Plain(seed) if seed < _PLAIN_SEEDS else Seeded(seed)
        try:
            return super().attempt(act, tries)
        finally:
            self._node = None


def models(
    *,
    ops: Sequence[str] = (),
    max_nodes: int = 12,
    dtypes: Sequence[str] = DTYPES,
    dynamic: bool = True,
    subgraphs: bool = True,
    opsets: tuple[int, int] = OPSETS,
    specials: bool | None = None,
    around: ir.passes.PassBase | Pipeline | str | None = None,
) -> SearchStrategy[ir.Model]:
    """Valid models, each with sets of inputs on which it runs (`graphopt.testing.model_inputs`).

    Failing examples shrink to few nodes, small shapes and plain numbers.

    Args:
        ops: Operators to be built from; () for all of the standard.
        max_nodes: With so many nodes in the main graph, Constant not counted, no more are begun. What several
            nodes write out is finished, and may go beyond.
        dtypes: Element types of graph inputs and constants, by their names in numpy and ml_dtypes; the first
            are taken more often.
        dynamic: Let graph inputs have symbolic and unknown dimensions.
        subgraphs: Let in If, Loop, Scan and SequenceMap.
        opsets: The oldest and the newest opset of the standard domain.
        specials: Let in NaN, infinities, denormals and operators that jump; None for every other model.
        around: A pass, or a pipeline as text: what its rules look for is built more often, and nearly so.

    Raises:
        UsageError: The bounds make no sense or leave nothing, or there is no such pass.
    """
    bounds = {
        "ops": ops,
        "max_nodes": max_nodes,
        "dtypes": dtypes,
        "dynamic": dynamic,
        "subgraphs": subgraphs,
        "opsets": opsets,
        "specials": specials,
    }
    spec = Spec.of(bounds)
    if isinstance(around, str):
        around = Pipeline.parse(around)
    return _models(spec if around is None else aimed(spec, around))


def pipelines(catalog: Catalog | None = None) -> SearchStrategy[str]:
    """Pipelines as text: one pass, several, groups to a fixed point, levels; with options now and then.

    Args:
        catalog: Pass name -> class; all that are installed by default.
    """
    return _pipelines(catalog)


@st.composite
def _models(draw: DrawFn, spec: Spec) -> ir.Model:
    try:
        return begin_model(Drawn(draw), spec)
    except Unfit:
        hypothesis.reject()


@st.composite
def _pipelines(draw: DrawFn, catalog: Catalog | None) -> str:
    return str(random_pipeline(Drawn(draw), catalog))


@functools.lru_cache(4096)
def _integers(low: int, high: int) -> SearchStrategy[int]:
    return st.integers(low, high)


__all__ = ["Drawn", "models", "pipelines"]
