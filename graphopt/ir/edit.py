"""Edits that several passes share: a value becomes a constant, a body takes the place of a node.

They keep names unique and emitted names as they were. They never decide whether an edit is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.ir.graphs import Names, graph_and_bodies
from graphopt.ir.rewrite import remove_node, replace_value


def function_graphs(model: ir.Model) -> set[ir.Graph]:
    """Every graph inside a function: constants there stay nodes, functions hold no initializers."""
    return {graph for function in model.functions.values() for graph in graph_and_bodies(function.graph)}


CONSTANTS_OF_ALL_TYPES = 9
"""The opset since which a Constant may be of any type; before, of floats alone."""
CONSTANT_FLOATS = (ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE)


def make_constant(value: ir.Value, tensor: ir.TensorProtocol, *, as_node: bool = False) -> ir.Value:
    """Let a constant take the place and the name of a node's output; the node itself stays.

    Args:
        value: Output of a node.
        tensor: Its elements; shared, not copied.
        as_node: Make a Constant node, not an initializer. Graph outputs always get one: some tools do not
            know initializers that are graph outputs.

    Returns:
        The constant value.
    """
    node = value.producer()
    assert node is not None and node.graph is not None
    constant = ir.Value(
        name=value.name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(tensor.shape.numpy()),
        doc_string=value.doc_string,
    )
    if as_node or value.is_graph_output():
        attribute = ir.AttrTensor("value", tensor)
        made = ir.Node("", "Constant", (), [attribute], outputs=[constant], name=f"{value.name}/Constant")
        node.graph.insert_before(node, made)
        replace_value(value, constant, is_new=True)
        return constant
    replace_value(value, constant, is_new=True)
    constant.const_value = named_tensor(tensor, constant.name)
    node.graph.initializers.add(constant)
    return constant


def reason_against_constant(value: ir.Value, opsets: Mapping[str, int]) -> str | None:
    """Why a value must stay computed although its elements are known; None where it need not.

    Args:
        value: Output of a node.
        opsets: What the model imports, by domain.
    """
    if not value.is_graph_output():
        return None
    if opsets and "" not in opsets:
        return "it is a graph output, and the model imports no operators to hold a constant"
    if opsets.get("", CONSTANTS_OF_ALL_TYPES) < CONSTANTS_OF_ALL_TYPES and value.dtype not in CONSTANT_FLOATS:
        return f"it is a graph output, and a Constant of that opset cannot be of type {value.dtype}"
    return None


def named_tensor(tensor: ir.TensorProtocol, name: str | None) -> ir.TensorProtocol:
    """A new tensor of that name over the same elements; `tensor`, which clones of the model share, stays."""
    shape = ir.Shape(tensor.shape.numpy())
    if isinstance(tensor, ir.ExternalTensor):
        return ir.ExternalTensor(
            tensor.location,
            tensor.offset,
            tensor.length,
            tensor.dtype,
            shape=shape,
            name=name or "",
            base_dir=tensor.base_dir,
        )
    if tensor.dtype == ir.DataType.STRING:
        return ir.StringTensor(tensor.numpy(), shape=shape, name=name)
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, shape=shape, name=name)


def splice(
    body: ir.Graph,
    node: ir.Node,
    names: Names,
    inputs: Sequence[ir.Value | None] = (),
    attributes: Mapping[str, ir.Attr] | None = None,
) -> list[ir.Value]:
    """Move the nodes of `body` in front of `node`, under fresh names.

    Args:
        body: A graph of its own (a branch, or a clone); it is empty afterwards.
        node: Stays; its outputs still are in use.
        names: Names of the model.
        inputs: What the inputs of `body` become, None for an absent one.
        attributes: What the nodes' references to attributes of a function become; a reference to one that
            is absent goes.

    Returns:
        What the outputs of `body` are now: values of its nodes, initializers, `inputs` or outer values.
    """
    graph = node.graph
    assert graph is not None
    outputs = list(body.outputs)
    body.outputs.clear()
    for index, value in enumerate(body.inputs):
        new = inputs[index] if index < len(inputs) else None
        if new is not None:
            value.replace_all_uses_with(new)
            outputs = [new if output is value else output for output in outputs]
        else:
            for use in tuple(value.uses()):
                use.node.replace_input_with(use.idx, None)
    for inner in graph_and_bodies(body):
        _rename(inner, names, keep_inputs=inner is body)
        if attributes is not None:
            for each in inner:
                _resolve_references(each, attributes)
    for name, value in list(body.initializers.items()):
        del body.initializers[name]
        graph.initializers.add(value)
    moved = list(body)
    body.remove(moved)
    graph.insert_before(node, moved)
    return outputs


def substitute_outputs(node: ir.Node, values: Sequence[ir.Value]) -> None:
    """Let `values` take the place of the outputs of `node`, and remove the node.

    A graph output keeps its name: it gets an Identity where its new value has a name to keep as well.
    """
    graph = node.graph
    assert graph is not None
    renamed: set[ir.Value] = set()
    for old, new in zip(node.outputs, values, strict=False):
        if not old.is_graph_output():
            replace_value(old, new)
            continue
        producer = new.producer()
        movable = producer is not None and producer.graph is graph and not new.is_graph_output()
        if not movable or new in renamed:
            new = _identity(new, old, node)
        renamed.add(new)
        replace_value(old, new, is_new=True)
    remove_node(node)


def _identity(value: ir.Value, like: ir.Value, before: ir.Node) -> ir.Value:
    output = ir.Value(name=f"{like.name}/Identity", type=value.type or like.type, shape=value.shape)
    node = ir.Node("", "Identity", [value], outputs=[output], name=f"{like.name}/Identity")
    assert before.graph is not None
    before.graph.insert_before(before, node)
    return output


def _rename(graph: ir.Graph, names: Names, *, keep_inputs: bool) -> None:
    """Give every value of a graph a name that nothing else has."""
    if not keep_inputs:
        for value in graph.inputs:
            value.name = names.fresh(value.name or "input")
    for old, value in list(graph.initializers.items()):
        if value.const_value is None:
            continue
        fresh = names.fresh(old)
        if fresh != old:
            tensor = value.const_value
            value.const_value = None  # a tensor is shared with clones of the model: it is never renamed
            value.name = fresh
            value.const_value = named_tensor(tensor, fresh)
    for node in graph:
        for output in node.outputs:
            if output.name:
                output.name = names.fresh(output.name)


def _resolve_references(node: ir.Node, attributes: Mapping[str, ir.Attr]) -> None:
    for name, attribute in list(node.attributes.items()):
        if not attribute.is_ref():
            continue
        given = attributes.get(attribute.ref_attr_name or "")
        del node.attributes[name]
        if given is not None and given.is_ref():
            node.attributes[name] = ir.RefAttr(name, given.ref_attr_name or "", given.type)
        elif given is not None and given.value is not None:
            node.attributes[name] = ir.Attr(name, given.type, given.value)
