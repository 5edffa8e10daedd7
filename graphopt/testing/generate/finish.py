"""Make a model of what was grown: choose what of it is seen from outside, check it, and run it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError, ModelError
from graphopt.ir import verify
from graphopt.testing.generate import dressing
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.feeds import Dims, found_feeds
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.protos import declaration, tensor
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.generate.runtime import Evaluated, Loaded
from graphopt.testing.inputs import INPUTS_KEY

SPECIALS = "graphopt.specials"
"""Key of `Model.meta`: whether a generated model may compute NaN, infinities and values that jump.

Where it is False, its results move little when its floating-point inputs or intermediate results do, so that
passes which round differently can be held to its numbers; where it is True, only passes that keep every bit
can, and of others the types and shapes of what it computes.
"""


def finish(b: Builder) -> ir.Model:
    """The model, as odd as the standard allows; see `INPUTS_KEY` and `SPECIALS`.

    Raises:
        Unfit: The whole is not valid or does not run, though every node does.
    """
    dims = {known.name: _dims(b, known) for known in b.inputs}
    proto = _proto(b, dims)
    dressed = dressing.dressed(b, proto)
    try:
        return _model(b, dressed, dims)
    except (ExecutionError, ModelError) as error:
        if dressed is proto:
            raise Unfit(str(error)) from error
    try:
        return _model(b, proto, dims)
    except (ExecutionError, ModelError) as error:
        raise Unfit(str(error)) from error


def _proto(b: Builder, dims: Mapping[str, Dims]) -> onnx.ModelProto:
    proto = onnx.ModelProto(ir_version=b.ir_version)
    proto.opset_import.add(domain="", version=b.opset)
    graph = proto.graph
    graph.name = "generated"
    read = {name for node in b.nodes for name in dressing.reads(node)}
    ends = _ends(b, read)
    seen = read | {known.name for known in ends}
    for known in b.inputs:
        if known.name in seen or b.choices.chance(0.2):
            graph.input.append(declaration(known, dims[known.name]))
    for known in b.initializers:
        if known.name in seen or b.choices.chance(0.05):
            graph.initializer.append(tensor(known))
            if not known.constant or b.ir_version < 4:
                graph.input.append(declaration(known, known.shape))
    for node in b.nodes:
        if node.op_type != "Constant" or node.output[0] in seen or b.choices.chance(0.05):
            graph.node.append(node)
    static = all(isinstance(dim, int) for each in dims.values() for dim in each or ())
    told = static and b.choices.chance(0.4)
    for known in ends:
        graph.output.append(declaration(known, known.shape if told and known.is_tensor else _unknown(known)))
    return proto


def _unknown(known: Known) -> Dims:
    return [None] * known.rank if known.is_tensor else None


def _ends(b: Builder, read: set[str]) -> list[Known]:
    """Values that nothing reads, now and then one that is read, and seldom an input or a constant."""
    outside = {known.name for known in b.inputs}
    inner = [known for known in b.values if known.name not in outside]
    second = {name for node in b.nodes for name in node.output[1:]}
    ends = [
        known
        for known in inner
        if (known.name not in read and not (known.name in second and b.choices.chance(0.4)))
        or b.choices.chance(0.1)
    ] or inner[-1:]
    if len(ends) > 1 and b.choices.chance(0.3):
        ends = ends[1:]  # what leads to the first is dead
    if b.choices.chance(0.04):
        ends = [*ends, b.choices.choose([*b.inputs, *b.constants])]
    if len(ends) > 1 and b.choices.chance(0.1):
        ends = [ends[place] for place in b.choices.permutation(len(ends))]
    return ends


def _dims(b: Builder, known: Known) -> Dims:
    """Declared dimensions: sizes, and where allowed symbols and unknown ones."""
    if not known.is_tensor:
        return None
    if not b.spec.dynamic or not b.choices.chance(0.4):
        return list(known.shape)
    return [
        b.choices.weighted((size, f"{known.name}_{axis}", None), (6, 3, 1))
        for axis, size in enumerate(known.shape)
    ]


def _model(b: Builder, proto: onnx.ModelProto, dims: Mapping[str, Dims]) -> ir.Model:
    """The model, held to everything.

    Raises:
        ExecutionError, ModelError: It is not valid, or does not run.
    """
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # of several kinds, in C++
        raise ModelError(str(error)) from error
    runnable = Evaluated(proto) if b.by_reference else Loaded(proto)
    feeds = found_feeds(b, proto, runnable, dims)
    model = ir.from_proto(proto)
    verify(model)
    model.meta[INPUTS_KEY] = feeds
    model.meta[SPECIALS] = b.specials
    return model
