"""Is the traced graph equal to the module: both run on the example inputs.

The module is left as it was. What could not be compared is told, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch.utils import _pytree as pytree

from graphopt.errors import ExecutionError, TraceError
from graphopt.execute import OutputDifference, Session, Tolerance, compare, default_tolerance
from graphopt.execute.check import NOISE_FACTOR
from graphopt.execute.compare import EXACT
from graphopt.execute.conditioning import rounding_noise
from graphopt.ir import is_deterministic
from graphopt.pytorch.arrays import to_numpy
from graphopt.pytorch.importer.capture import Captured
from graphopt.pytorch.importer.eager import EagerRun, run_eagerly
from graphopt.pytorch.importer.failures import own_failure
from graphopt.pytorch.importer.lean import lean
from graphopt.pytorch.importer.other_sizes import run_at_other_sizes, without_fast_path
from graphopt.pytorch.signature import Signature

Arrays = Mapping[str, np.ndarray[Any, Any]]

_WITH_FAST_PATH = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)
_FAST_PATH = (
    "the module was compared without PyTorch's fast path of attention (torch.backends.mha), "
    "which gives zeros where a padding mask hides a position; the graph computes those too"
)


def check_against_module(model: ir.Model, signature: Signature, captured: Captured) -> list[str]:
    """Compare the graph's outputs with the module's own on the example inputs.

    Returns:
        What a user should know: outputs that were not compared, Python state that the graph has frozen.

    Raises:
        TraceError: the graph cannot be run, or an output differs; the message names it.
    """
    name = type(captured.module).__name__
    try:
        run = run_eagerly(captured.module, captured.args, captured.kwargs)
    except Exception as error:
        raise own_failure(error, name) from error
    notes = [
        f"forward sets {attribute!r} of the module: the graph holds what that gave while tracing"
        for attribute in run.python_state
    ]
    inputs = {key: to_numpy(v) for key, v in signature.flatten_call(captured.args, captured.kwargs).items()}
    expected = _expected(signature, run)
    try:
        session = Session(lean(model), prepack=False)
    except ExecutionError as error:
        return [*notes, f"the graph was not compared with the module: {error.message}"]
    try:
        actual = session.run(inputs)
    except ExecutionError as error:
        raise TraceError(
            f"the graph traced from {name} does not run on the example inputs: {error.message}",
            hint="look at the graph with check=False",
        ) from error
    random = _random_outputs(model)
    notes += [f"output {output!r} is random, and was not compared" for output in expected if output in random]
    differences = _differences(model, expected, actual, random)
    if differences and _agrees_without_fast_path(captured, signature, actual, random, _floor(model)):
        notes.append(_FAST_PATH)
        differences = []
    grave, by_rounding = _weighed(model, inputs, actual, differences)
    if grave:
        raise _different(name, grave[0], run)
    notes += by_rounding
    return [*notes, *_check_other_sizes(model, signature, captured, session, random)]


def _check_other_sizes(
    model: ir.Model, signature: Signature, captured: Captured, session: Session, random: set[str]
) -> list[str]:
    """Compare at other sizes than the example's; what was assumed about sizes already is told again only."""
    other = run_at_other_sizes(model, signature, captured)
    if other is None:
        return []
    inputs = {key: to_numpy(v) for key, v in signature.flatten_call(other.args, other.kwargs).items()}
    try:
        actual = session.run(inputs)
    except ExecutionError as error:
        fault = f"does not run: {error.message}"
    else:
        differences = _differences(model, _expected(signature, other.run), actual, random)
        grave, _ = _weighed(model, inputs, actual, differences)
        if not grave:
            return []
        fault = f"differs from the module in output {grave[0].name!r}: {grave[0].reason}"
    told = f"for {other.sizes} the graph {fault}"
    if signature.notes:
        return [told]
    raise TraceError(
        f"the graph traced from {type(captured.module).__name__} holds for the example's sizes only: {told}",
        hint="leave out of dynamic_shapes what need not vary; or write forward so that sizes do not matter",
    )


def _differences(
    model: ir.Model, expected: Arrays, actual: Arrays, random: set[str]
) -> list[OutputDifference]:
    settled = {key: value for key, value in expected.items() if key not in random}
    return [each for each in compare(settled, actual, floor=_floor(model)) if not each.equal]


def _weighed(
    model: ir.Model, inputs: Arrays, actual: Arrays, differences: list[OutputDifference]
) -> tuple[list[OutputDifference], list[str]]:
    """The differences that rounding does not explain, and a note for each that it does."""
    noise = rounding_noise(model, inputs, actual) if any(d.same_pattern for d in differences) else {}
    grave, notes = [], []
    for difference in differences:
        if difference.same_pattern and difference.max_abs <= NOISE_FACTOR * noise.get(difference.name, 0.0):
            notes.append(
                f"output {difference.name!r} differs by up to {difference.max_abs:.1e}: by rounding alone"
            )
        else:
            grave.append(difference)
    return grave, notes


def _agrees_without_fast_path(
    captured: Captured, signature: Signature, actual: Arrays, random: set[str], floor: Tolerance
) -> bool:
    """Whether only PyTorch's fast path of attention, which no graph takes, makes the difference."""
    paths = getattr(torch.backends, "mha", None)
    if paths is None or not paths.get_fastpath_enabled():
        return False
    if not any(isinstance(part, _WITH_FAST_PATH) for part in captured.module.modules()):
        return False
    with without_fast_path():
        run = run_eagerly(captured.module, captured.args, captured.kwargs)
    expected = {name: value for name, value in _expected(signature, run).items() if name not in random}
    return all(difference.equal for difference in compare(expected, actual, floor=floor))


def _different(name: str, difference: OutputDifference, run: EagerRun) -> TraceError:
    by = f", by up to {difference.max_abs:.3g}" if difference.same_pattern else ""
    hint = "look at the graph with check=False"
    if run.python_state:
        hint += f"; forward sets {run.python_state[0]!r}, which a graph cannot: make it a buffer"
    what = f"output {difference.name!r}: {difference.reason}{by}"
    return TraceError(f"the graph traced from {name} differs from it in {what}", hint=hint)


def _expected(signature: Signature, run: EagerRun) -> dict[str, np.ndarray[Any, Any]]:
    """What the module returned and left behind, by graph output name."""
    found = {name: to_numpy(value) for name, value in signature.flatten_result(run.result).items()}
    arguments = dict(
        zip(
            (leaf.name for leaf in signature.inputs),
            pytree.tree_leaves((run.args, dict(run.kwargs))),
            strict=True,
        )
    )
    for output, source in signature.state.items():
        value = arguments.get(source, run.buffers.get(source))
        if isinstance(value, torch.Tensor):
            found[output] = to_numpy(value)
    return found


def _random_outputs(model: ir.Model) -> set[str]:
    """Outputs that random operators reach."""
    reached: set[ir.Value] = set()
    for node in model.graph:
        inner = (one for attribute in node.attributes.values() for one in _inside(attribute))
        if (
            not is_deterministic(node)
            or any(value in reached for value in node.inputs)
            or not all(is_deterministic(one) for one in inner)
        ):
            reached.update(node.outputs)
    return {value.name or "" for value in model.graph.outputs if value in reached}


def _inside(attribute: ir.Attr) -> list[ir.Node]:
    if attribute.type == ir.AttributeType.GRAPH:
        return list(attribute.as_graph().all_nodes())
    return []


def _floor(model: ir.Model) -> Tolerance:
    """The tolerance of the coarsest type that the graph computes in."""
    types = {value.dtype for node in model.graph for value in node.outputs}
    for dtype in (ir.DataType.BFLOAT16, ir.DataType.FLOAT16):
        if dtype in types:
            return default_tolerance(dtype.numpy())
    return EXACT
