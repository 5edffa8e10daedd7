"""The original: what a pass is given, what it computes, and what must be the same afterwards.

Made once for a model and used for every pass that is checked on it. It is never changed.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError, UsageError
from graphopt.execute import InputSet, Oracle
from graphopt.io import Interface, load, to_proto
from graphopt.ir import infer_shapes, verify
from graphopt.testing.check.content import content, whole
from graphopt.testing.check.validity import Strictness, strictness_of
from graphopt.testing.inputs import INPUTS_KEY, Inputs, model_inputs, with_specials
from graphopt.testing.text import parse_model

if TYPE_CHECKING:
    ModelLike = ir.Model | onnx.ModelProto | str | os.PathLike[str]


class Reference:
    """A model to check passes on.

    Args:
        model: A model, its ONNX text (see `parse_model`), or a path. It is copied.
        inputs: Sets of inputs to compare outputs on; () to compare none. By default those that the model
            carries, else random ones that fit.
        rtol: Relative tolerance of float outputs after passes that are not exact; by default that of each
            type, and whatever rounding alone moves.
        opset: For a text without a header.
        full_check: Let onnx.checker infer shapes; False for models that it wrongly refuses afterwards.

    Attributes:
        proto: The model as it was given.
        model: The same with shapes inferred, as a pipeline finds it; `fresh()` is a copy to change.
        serialized: All of `model`, to tell whether it was changed.
        content: What it computes; see `content`.
        declared: Shapes of the outputs as they were given.
        interface: Of `model`.
        strictness: How strict a check of onnx the model passes; the outcome must pass the same.

    Raises:
        LoadError, ModelError: The path cannot be read, or the model is not valid by itself.
    """

    def __init__(
        self,
        model: ModelLike,
        *,
        inputs: Sequence[Inputs] | None = None,
        rtol: float | None = None,
        opset: int = 18,
        full_check: bool = True,
    ) -> None:
        given = _read(model, opset)
        verify(given)
        self._carried: Sequence[Inputs] | None = given.meta.get(INPUTS_KEY) if inputs is None else None
        self.inputs: Sequence[Inputs] | None = self._carried if inputs is None else inputs
        self.rtol = rtol
        self.proto = to_proto(given)
        self.declared = [value.shape for value in given.graph.outputs]
        self.strictness: Strictness = strictness_of(self.proto, self.declared, full_check=full_check)
        self.model = given.clone()
        infer_shapes(self.model)
        self._meta = {key: each for key, each in given.meta.items() if key != INPUTS_KEY}
        self.interface = Interface.of(self.model)
        inferred = to_proto(self.model)
        self.serialized = whole(inferred)
        self.content = content(inferred)
        self._oracles: dict[tuple[bool, bool], Oracle | str] = {}

    def fresh(self) -> ir.Model:
        """A copy of the model, with what others left in its `meta`."""
        made = self.model.clone()
        made.meta.update(copy.deepcopy(self._meta))
        return made

    def oracle(self, *, exact: bool, overrides: bool = True) -> Oracle | str:
        """What the model computes, or why nobody knows.

        Args:
            exact: Inputs that nobody insists on may hold NaN and infinities.
            overrides: Inputs with a default may be given.
        """
        key = exact and (self.inputs is None or self._carried is not None), overrides
        if key not in self._oracles:
            self._oracles[key] = self._observe(exact, overrides)
        return self._oracles[key]

    def _observe(self, exact: bool, overrides: bool) -> Oracle | str:
        if self.inputs is not None and not self.inputs:
            return "no inputs to compare on"
        sets: Sequence[Inputs] = ()
        if self.inputs is not None:
            sets = self.inputs
            if exact and self._carried:
                special = {name: with_specials(array) for name, array in self._carried[0].items()}
                sets = [*sets, special]
        else:
            try:
                sets = model_inputs(self.model, special=exact)
            except AssertionError:
                sets = ()  # no tensors of known rank: the layer below looks at how they are used
        if not overrides:
            defaults = self.model.graph.initializers
            sets = [{name: one[name] for name in one if name not in defaults} for one in sets]
        try:
            return self._oracle(sets or None)
        except ExecutionError as error:
            reason = error.message
        except UsageError as error:
            if self.inputs is not None and self._carried is None:
                raise
            reason = error.message
        running = [one for one in sets if isinstance(self._try([one]), Oracle)]
        if running:
            return self._oracle(running)
        if self.inputs is None and sets:
            return self._try(None)
        return reason

    def _try(self, sets: Sequence[Inputs] | None) -> Oracle | str:
        try:
            return self._oracle(sets)
        except (ExecutionError, UsageError) as error:
            return error.message

    def _oracle(self, sets: Sequence[Inputs] | None) -> Oracle:
        made = None if sets is None else [InputSet(dict(one)) for one in sets]
        return Oracle(self.model, inputs=made, rtol=self.rtol, forgive=False)


def _read(model: ModelLike, opset: int) -> ir.Model:
    if isinstance(model, ir.Model):
        return model
    if isinstance(model, onnx.ModelProto):
        return ir.from_proto(model)
    if isinstance(model, str) and "=>" in model:
        return parse_model(model, opset=opset)
    return load(model)
