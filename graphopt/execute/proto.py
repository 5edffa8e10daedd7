"""The form in which a model is handed to a runtime: a light ModelProto beside its large tensors.

Weights are never copied into protobuf (2 GB limit, twice the memory); the caller gives them to the runtime
as arrays. The `onnx_ir` model is only read: nothing in it is replaced, renamed or moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir
from onnx_ir import serde

from graphopt.execute.unsafe import check_survivable
from graphopt.ir import facts, is_program
from graphopt.ir.ops import may_be_overwritten

INLINE_BYTES = 1024
"""Tensors up to this size stay in the proto: shape inference reads the small ones (shapes, axes, pads)."""

MOST_OBSERVED = 4096
"""Shapes observed in one model: onnxruntime takes time quadratic in the Shape nodes to load them."""

SHAPE_PREFIX = "__graphopt_shape__"
"""Prefix of the extra outputs that carry the shape of an intermediate value."""

_HANDED_OVER = frozenset(
    {
        ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16,
        ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64,
        ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64, ir.DataType.BOOL,
        ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ,
        ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ,
    }
)  # fmt: skip
"""Types onnxruntime accepts as an OrtValue over a numpy array; packed 4-bit types and strings go inline."""

_SEQUENCE_OPS = frozenset(
    {"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceMap",
     "SplitToSequence", "Optional", "ZipMap"}
)  # fmt: skip


@dataclass
class LightProto:
    """A serialized model without its large tensors.

    Attributes:
        proto: The model; every node is named "#i".
        tensors: Large initializers by name, declared external in `proto`.
        nodes: The IR node behind the name "#i", in the order of serialization (subgraphs after their node).
        weight_bytes: Size of `tensors` together.
        shape_outputs: Name of the extra output that carries a value's shape, by value name.
    """

    proto: onnx.ModelProto
    tensors: dict[str, ir.TensorProtocol] = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    weight_bytes: int = 0
    shape_outputs: dict[str, str] = field(default_factory=dict)


def light_proto(
    model: ir.Model,
    *,
    extra_outputs: Sequence[str] = (),
    observe_shapes: bool = False,
    share_constants: bool = False,
    annotate: bool = False,
    inline: bool = False,
) -> LightProto:
    """Serialize a model, leaving its large tensors out.

    Args:
        model: The model; it is only read.
        extra_outputs: Main-graph values to add to the outputs.
        observe_shapes: Add the shape (int64) of every tensor of the main graph as an output. Of more than
            `MOST_OBSERVED`, those come first whose shapes are claims of others or rest on numbers that only a
            run knows (inputs and outputs of the graph, `Reshape`, `Slice` ..., opaque operators), then
            the rest, evenly spread.
        share_constants: Write equal small constants of the main graph once. onnxruntime takes time quadratic
            in the initializers to load them.
        annotate: Write the declared types and shapes of intermediate values. Without them a runtime cannot be
            misled by a false declaration. Those of what compiled regions write are always written.
        inline: Keep every tensor in the proto (for a runtime that takes nothing else).

    Raises:
        NotImplementedError: an attribute that `onnx_ir` cannot serialize (sparse tensors).
    """
    light = LightProto(onnx.ModelProto(ir_version=model.ir_version))
    for domain, version in sorted(model.opset_imports.items()):
        light.proto.opset_import.add(domain=domain, version=version)
    shared = _shared_constants(model.graph, set(extra_outputs)) if share_constants else {}
    writer = _Writer(light, annotate=annotate, inline=inline, shared=shared, taken=_taken_names(model))
    writer.graph(light.proto.graph, model.graph)
    for function in model.functions.values():
        writer.function(light.proto.functions.add(), function)
    present = {output.name for output in light.proto.graph.output}
    for name in extra_outputs:
        if name not in present:
            light.proto.graph.output.add(name=name)
            present.add(name)
    if observe_shapes:
        _observe_shapes(light, model.graph)
    return light


def _taken_names(model: ir.Model) -> dict[str, int]:
    """How many graphs define a large initializer of each name; only needed to lift those of subgraphs."""
    counts: dict[str, int] = {}
    for graph in model.graphs():
        for name in graph.initializers:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _shared_constants(graph: ir.Graph, kept: set[str]) -> dict[ir.Value, ir.Value]:
    """The initializer that stands for each one equal to it, of those small enough to be written."""
    first: dict[tuple[object, ...], ir.Value] = {}
    shared: dict[ir.Value, ir.Value] = {}
    for name, value in graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes > INLINE_BYTES:
            continue
        if name in kept or value.is_graph_input() or value.is_graph_output():
            continue
        uses = value.uses()
        if not uses or any(use.node.graph is not graph for use in uses) or may_be_overwritten(value):
            continue
        standing = first.setdefault((tensor.dtype, tensor.shape.numpy(), tensor.tobytes()), value)
        if standing is not value:
            shared[value] = standing
    return shared


def tensor_values(graph: ir.Graph) -> Iterable[ir.Value]:
    """Values of a graph's own nodes and inputs that hold one tensor (not a sequence, optional or map)."""
    others: set[ir.Value] = set()

    def is_tensor(value: ir.Value) -> bool:
        if value.type is not None:
            return isinstance(value.type, ir.TensorType)
        return value not in others

    for value in graph.inputs:
        if is_tensor(value):
            yield value
    for node in graph:
        opaque = node.op_type in _SEQUENCE_OPS or any(v is not None and not is_tensor(v) for v in node.inputs)
        for value in node.outputs:
            if opaque and value.type is None:
                others.add(value)
            elif value.name and is_tensor(value):
                yield value


def observed_values(graph: ir.Graph) -> list[ir.Value]:
    """The values whose shapes are worth observing: all, or `MOST_OBSERVED` of them (see `light_proto`)."""
    values = list(tensor_values(graph))
    if len(values) <= MOST_OBSERVED:
        return values
    ranks: tuple[list[ir.Value], ...] = ([], [], [])
    for value in values:
        ranks[_rank(value)].append(value)
    chosen: list[ir.Value] = []
    for each in ranks:
        chosen += _spread(each, MOST_OBSERVED - len(chosen))
    return chosen


def _rank(value: ir.Value) -> int:
    """0 for the interface, 1 where inference had to believe a number or a declaration, else 2."""
    node = value.producer()
    if node is None or value.is_graph_output():
        return 0
    known = facts(node)
    return 1 if known.shape_inputs or not known.known else 2


def _spread(values: list[ir.Value], most: int) -> list[ir.Value]:
    """At most `most` of the values, at even distances."""
    if len(values) <= most:
        return values
    return [values[index * len(values) // most] for index in range(most)]


def _observe_shapes(light: LightProto, graph: ir.Graph) -> None:
    for index, value in enumerate(observed_values(graph)):
        assert value.name is not None
        output = f"{SHAPE_PREFIX}{index}"
        light.proto.graph.node.add(op_type="Shape", input=[value.name], output=[output], name=output)
        light.proto.graph.output.add(name=output)
        light.shape_outputs[value.name] = output


class _Writer:
    """Writes graphs recursively; the large tensors go to `light.tensors`.

    It reads `Attr.value` directly: `as_tensor` checks a runtime protocol, which costs more than all the rest.
    """

    def __init__(
        self,
        light: LightProto,
        *,
        annotate: bool,
        inline: bool,
        shared: dict[ir.Value, ir.Value],
        taken: dict[str, int],
    ) -> None:
        self.light = light
        self.shared = shared
        self.annotate = annotate
        self.inline = inline
        self.taken = taken

    def graph(self, proto: onnx.GraphProto, graph: ir.Graph) -> None:
        proto.name = graph.name or "graph"
        for value in graph.inputs:
            serde.serialize_value_into(proto.input.add(), value)
        for name, value in graph.initializers.items():
            # onnxruntime drops an unused initializer before it looks for the array that replaces it.
            needed = value.uses() or value.is_graph_output() or value.is_graph_input()
            if value.const_value is not None and needed and value not in self.shared:
                self.initializer(proto, name, value.const_value)
        for node in graph:
            tensor = self.lifted_constant(proto, node)
            if tensor is not None:
                self.initializer(proto, node.outputs[0].name or "", tensor)
                continue
            self.node(proto.node.add(), node)
            if self.annotate or is_program(node):
                for value in node.outputs:
                    if value.name and value.type is not None and not value.is_graph_output():
                        serde.serialize_value_into(proto.value_info.add(), value)
        for value in graph.outputs:
            serde.serialize_value_into(proto.output.add(), value)

    def function(self, proto: onnx.FunctionProto, function: ir.Function) -> None:
        proto.domain, proto.name = function.domain, function.name
        if function.overload:
            proto.overload = function.overload
        for domain, version in sorted(function.opset_imports.items()):
            proto.opset_import.add(domain=domain, version=version)
        proto.input.extend(value.name or "" for value in function.inputs)
        proto.output.extend(value.name or "" for value in function.outputs)
        for attribute in function.attributes.values():
            if attribute.value is None:
                proto.attribute.append(attribute.name)
            else:
                serde.serialize_attribute_into(proto.attribute_proto.add(), attribute)
        for node in function:
            self.node(proto.node.add(), node)

    def node(self, proto: onnx.NodeProto, node: ir.Node) -> None:
        check_survivable(node)
        proto.name = f"#{len(self.light.nodes)}"
        self.light.nodes.append(node)
        proto.op_type, proto.domain = node.op_type, node.domain
        if node.overload:
            proto.overload = node.overload
        inputs = (None if value is None else self.shared.get(value, value) for value in node.inputs)
        proto.input.extend("" if value is None else value.name or "" for value in inputs)
        outputs = [value.name or "" for value in node.outputs]
        while outputs and not outputs[-1]:
            outputs.pop()
        proto.output.extend(outputs)
        for attribute in node.attributes.values():
            self.attribute(proto.attribute.add(), attribute)

    def attribute(self, proto: onnx.AttributeProto, attribute: ir.Attr) -> None:
        if attribute.is_ref():
            serde.serialize_reference_attribute_into(proto, attribute)
        elif attribute.type == ir.AttributeType.GRAPH:
            proto.name, proto.type = attribute.name, onnx.AttributeProto.GRAPH
            self.graph(proto.g, attribute.value)
        elif attribute.type == ir.AttributeType.GRAPHS:
            proto.name, proto.type = attribute.name, onnx.AttributeProto.GRAPHS
            for graph in attribute.value:
                self.graph(proto.graphs.add(), graph)
        elif attribute.type == ir.AttributeType.TENSOR:
            proto.name, proto.type = attribute.name, onnx.AttributeProto.TENSOR
            _inline(proto.t, attribute.value.name or "", attribute.value)
        else:
            serde.serialize_attribute_into(proto, attribute)

    def lifted_constant(self, proto: onnx.GraphProto, node: ir.Node) -> ir.TensorProtocol | None:
        """The tensor of a large Constant node of the main graph, which is written as an initializer."""
        if self.inline or node.op_type != "Constant" or proto is not self.light.proto.graph:
            return None
        attribute = node.attributes.get("value")
        if attribute is None or attribute.type != ir.AttributeType.TENSOR or not node.outputs[0].uses():
            return None
        tensor: ir.TensorProtocol = attribute.value
        return tensor if _is_handed_over(tensor) else None

    def initializer(self, proto: onnx.GraphProto, name: str, tensor: ir.TensorProtocol) -> None:
        main = self.light.proto.graph
        # onnxruntime replaces initializers of the main graph only. One of a subgraph is lifted there unless
        # another graph has an initializer of the same name.
        if self.inline or not _is_handed_over(tensor) or (proto is not main and self.taken[name] > 1):
            _inline(proto.initializer.add(), name, tensor)
            return
        declared = main.initializer.add(name=name, data_type=tensor.dtype.value, dims=tensor.shape.numpy())
        declared.data_location = onnx.TensorProto.EXTERNAL
        self.light.tensors[name] = tensor
        self.light.weight_bytes += tensor.nbytes


def _is_handed_over(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype in _HANDED_OVER and tensor.nbytes > INLINE_BYTES


def _inline(proto: onnx.TensorProto, name: str, tensor: ir.TensorProtocol) -> None:
    if isinstance(tensor, ir.TensorProtoTensor):
        proto.CopyFrom(tensor.raw)
        proto.name = name
        return
    proto.name = name
    proto.data_type = tensor.dtype.value
    proto.dims.extend(tensor.shape.numpy())
    if tensor.dtype == ir.DataType.STRING:
        texts = tensor.numpy().ravel().tolist()
        proto.string_data.extend(text if isinstance(text, bytes) else str(text).encode() for text in texts)
    else:
        proto.raw_data = tensor.tobytes()
