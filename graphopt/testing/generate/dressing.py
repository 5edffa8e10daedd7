"""Say the same model in odder ways: another order, names missing, outputs left out, claims, local functions.

What comes out may break a rule of the standard here and there; who calls checks it and has the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
import onnx.defs

from graphopt.testing.generate.builder import Builder

_COUNTS_OUTPUTS = frozenset({"BatchNormalization"})
"""onnxruntime takes listed outputs for wanted ones there, and ends the process on those without a name."""
DOMAIN = "local"
"""Of functions that belong to the model."""
_FIRST_IR_VERSION_WITH_FUNCTIONS = 8

Change = Callable[[Builder, onnx.ModelProto], None]


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, those in its bodies among them, some of which are the bodies' own."""
    yield from node.input
    for graph in bodies(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from reads(inner)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g


def dressed(b: Builder, proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, or a copy with some of the changes."""
    taken = [change for probability, change in _CHANGES if b.choices.chance(probability)]
    if not taken:
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for change in taken:
        change(b, copy)
    return copy


def leave_outputs_out(b: Builder, proto: onnx.ModelProto) -> None:
    """Give no name to outputs that nothing reads, where the operator allows it, or list them without one."""
    read = {name for node in proto.graph.node for name in reads(node)}
    read.update(output.name for output in proto.graph.output)
    for node in proto.graph.node:
        if node.op_type in _COUNTS_OUTPUTS:
            continue
        formals = onnx.defs.get_schema(node.op_type, b.opset, "").outputs
        optional = [formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional for formal in formals]
        for place, name in enumerate(node.output):
            if optional[min(place, len(formals) - 1)] and name not in read and b.choices.chance(0.7):
                node.output[place] = ""
        if all(optional[len(node.output) :]) and b.choices.chance(0.5):
            node.output.extend("" for _ in formals[len(node.output) :])


def take_names(b: Builder, proto: onnx.ModelProto) -> None:
    """Leave nodes without names."""
    for node in proto.graph.node:
        if b.choices.chance(0.8):
            node.ClearField("name")


def reorder(b: Builder, proto: onnx.ModelProto) -> None:
    """Put the nodes into another valid order."""
    waiting = list(proto.graph.node)
    made_here = {name for node in waiting for name in node.output}
    done: set[str] = {""}
    ordered = []
    while waiting:
        ready = [
            place
            for place, node in enumerate(waiting)
            if all(name in done or name not in made_here for name in reads(node))
        ]
        node = waiting.pop(b.choices.choose(ready))
        done.update(node.output)
        ordered.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(ordered)


def claim(b: Builder, proto: onnx.ModelProto) -> None:
    """Declare types and shapes of inner values."""
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except (onnx.shape_inference.InferenceError, ValueError):
        return
    proto.graph.value_info.extend(b.choices.some(inferred.graph.value_info, 0.6))


def enclose(b: Builder, proto: onnx.ModelProto) -> None:
    """Make a function of a few nodes in a row."""
    graph = proto.graph
    if proto.ir_version < _FIRST_IR_VERSION_WITH_FUNCTIONS:
        return
    first = b.choices.integer(0, len(graph.node) - 1)
    taken = list(graph.node)[first : first + b.choices.choose((2, 1, 3))]
    if any(True for node in taken for _ in bodies(node)):
        return
    before, after = list(graph.node)[:first], list(graph.node)[first + len(taken) :]
    made = [name for node in taken for name in node.output if name]
    outside = {name for node in after for name in reads(node)} | {output.name for output in graph.output}
    outputs = [name for name in made if name in outside]
    inputs = list(dict.fromkeys(name for node in taken for name in node.input if name and name not in made))
    if not outputs:
        return
    function = proto.functions.add(domain=DOMAIN, name="Part", input=inputs, output=outputs)
    function.opset_import.add(domain="", version=b.opset)
    function.node.extend(taken)
    call = onnx.NodeProto(op_type="Part", domain=DOMAIN, input=inputs, output=outputs, name=b.name("n"))
    proto.opset_import.add(domain=DOMAIN, version=1)
    del graph.node[:]
    graph.node.extend([*before, call, *after])


_CHANGES: tuple[tuple[float, Change], ...] = (
    (0.25, leave_outputs_out),
    (0.1, take_names),
    (0.15, reorder),
    (0.15, claim),
    (0.06, enclose),
)
