"""Real shapes of all values of a model in one run, those in the bodies of control flow included.

Each body is run as a model of its own, on the values that reach it; of a Loop or Scan the first iteration.
The branch of an If that was not chosen is run too, where it can be. Never changes the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.execute.session import Session
from graphopt.ir import attribute_int, attribute_ints, graph_and_bodies, subgraphs

Shape = tuple[int, ...]


@dataclasses.dataclass
class Observed:
    """What one run showed.

    Attributes:
        shapes: Of each value, by name; of a name that stands for several shapes none.
        idle: Bodies that did not run, and cannot on the values that reach them, and their nodes.
    """

    shapes: dict[str, Shape] = dataclasses.field(default_factory=dict)
    idle: dict[ir.Graph, ir.Node] = dataclasses.field(default_factory=dict)


def observe(model: ir.Model, inputs: Mapping[str, Any]) -> Observed:
    """Run a model without functions once and look at every tensor.

    Args:
        model: The model.
        inputs: Arrays by input name.

    Raises:
        ExecutionError: It does not run on these inputs.
    """
    observer = _Observer(model)
    observer.graph(model, model.graph, dict(inputs))
    for name in observer.ambiguous:
        del observer.found.shapes[name]
    return observer.found


class _Observer:
    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self.found = Observed()
        self.ambiguous: set[str] = set()

    def graph(self, model: ir.Model, graph: ir.Graph, known: dict[str, Any]) -> None:
        """Run a graph, of which `model` is the model of its own, and its bodies.

        Args:
            model: Inputs of it are in `known`.
            graph: Its values bear the names of those of `model`.
            known: Arrays of outer values and inputs by name.
        """
        wanted = dict.fromkeys(name for node in graph for name in _read_by_control_flow(node))
        made = {value.name for node in graph for value in node.outputs if value.name}
        outputs = {value.name for value in graph.outputs}
        extra = [name for name in wanted if name in made and name not in outputs]
        session = Session(model, observe_shapes=True, extra_outputs=extra)
        results, shapes = session.run_observed({name: known[name] for name in session.input_names})
        for name, shape in shapes.items():
            self._note(name, shape)
        known = {**known, **results}
        for name in session.input_names:
            self._note(name, np.shape(known[name]))
        for node in graph:
            for body, given in _bodies(node, known):
                try:
                    if given is None:
                        raise GraphoptError("nothing reaches it")
                    self.graph(self._alone(body, {**known, **given}), body, {**known, **given})
                except GraphoptError:
                    self.found.idle[body] = node

    def _note(self, name: str, shape: Shape) -> None:
        if self.found.shapes.setdefault(name, shape) != shape:
            self.ambiguous.add(name)

    def _alone(self, body: ir.Graph, known: Mapping[str, Any]) -> ir.Model:
        """A body as a model that takes as inputs what it reads from outside."""
        proto = onnx.ModelProto(ir_version=max(self._model.ir_version, 4))
        for domain, version in self._model.opset_imports.items():
            proto.opset_import.add(domain=domain, version=version)
        proto.graph.CopyFrom(ir.serde.serialize_graph(body))
        del proto.graph.input[:]
        for value in [*body.inputs, *_outer(body)]:
            name = value.name or ""
            if value.const_value is not None and name not in known:
                proto.graph.initializer.append(ir.serde.serialize_tensor(_named(value)))
                continue
            if not isinstance(known.get(name), np.ndarray | np.generic):
                raise GraphoptError(f"{name!r} is not known")
            dtype = value.dtype or ir.DataType.from_numpy(known[name].dtype)
            port = proto.graph.input.add(name=name)
            port.type.tensor_type.elem_type = dtype.value
            for size in np.shape(known[name]):
                port.type.tensor_type.shape.dim.add(dim_value=size)
            port.type.tensor_type.shape.SetInParent()
        return ir.serde.deserialize_model(proto)


def _named(value: ir.Value) -> ir.TensorProtocol:
    tensor = value.const_value
    assert tensor is not None
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=value.name)


def _read_by_control_flow(node: ir.Node) -> Iterator[str]:
    """Names of what a node with bodies and its bodies read, those of the bodies' own values among them."""
    bodies = subgraphs(node)
    if bodies:
        yield from (value.name or "" for value in node.inputs if value is not None)
        for body in bodies:
            yield from (value.name or "" for value in _outer(body))


def _outer(body: ir.Graph) -> list[ir.Value]:
    """Values that a body or a body of it reads and does not hold."""
    inside: set[ir.Value] = set()
    read: dict[ir.Value, None] = {}
    for graph in graph_and_bodies(body):
        inside.update(graph.inputs, graph.initializers.values())
        for node in graph:
            inside.update(node.outputs)
            read.update((value, None) for value in node.inputs if value is not None)
        read.update((value, None) for value in graph.outputs)
    return [value for value in read if value not in inside]


def _bodies(node: ir.Node, known: Mapping[str, Any]) -> Iterator[tuple[ir.Graph, dict[str, Any] | None]]:
    """The bodies of a node, and what their inputs are at first; None where that is not known."""
    arrays = [None if value is None else known.get(value.name or "") for value in node.inputs]
    for body in subgraphs(node):
        names = [value.name or "" for value in body.inputs]
        match node.op_type:
            case "If":
                yield body, {}
            case "Loop":
                yield body, dict(zip(names, [np.int64(0), np.bool_(True), *arrays[2:]], strict=True))
            case "Scan":
                scanned = attribute_int(node, "num_scan_inputs", 1)
                axes = attribute_ints(node, "scan_input_axes") or [0] * scanned
                states = len(arrays) - scanned
                firsts = [
                    None if array is None else np.take(array, 0, axis)
                    for array, axis in zip(arrays[states:], axes, strict=True)
                ]
                yield body, dict(zip(names, [*arrays[:states], *firsts], strict=True))
            case _:
                yield body, None
