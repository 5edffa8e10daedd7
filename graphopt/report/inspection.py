"""What is in a model, as data: interface, operators, weights, costs. It runs nothing and changes nothing."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.cost import MachineRates, ModelCost, estimate
from graphopt.cost.dims import refuse_unknown
from graphopt.io import Interface
from graphopt.ir import count_nodes, graphs, infer_shapes, is_constant_node, nodes
from graphopt.native.work import program_work


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A model looked at.

    Attributes:
        source: Its file.
        producer: Program and version that wrote it, "" where it does not say.
        ir_version: Version of the file format.
        opsets: Version by domain, "" being the standard's.
        inputs: (name, type and shape) of each.
        outputs: The same.
        nodes: Nodes of all graphs, Constant not counted.
        ops: Number of nodes by operator, most frequent first.
        bodies: Graphs in If, Loop and Scan nodes.
        functions: Model-local functions.
        external_files: Files its weights lie in.
        metadata: Its metadata.
        cost: Its cost, node by node and whole.
        notes: Repairs made while loading.
    """

    source: str
    producer: str
    ir_version: int
    opsets: dict[str, int]
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    nodes: int
    ops: dict[str, int]
    bodies: int
    functions: tuple[str, ...]
    external_files: tuple[str, ...]
    metadata: dict[str, str]
    cost: ModelCost
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        ports = {
            key: [{"name": name, "type": kind} for name, kind in plain[key]] for key in ("inputs", "outputs")
        }
        return {**plain, **ports, "cost": self.cost.to_dict()}


def inspect(
    model: ir.Model,
    *,
    source: str,
    notes: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    rates: MachineRates | None = None,
) -> Inspection:
    """Look at a model.

    Args:
        model: Its shapes are inferred; nothing else of it is changed.
        source: What to call it: its file, say.
        notes: What was found while it was loaded.
        shapes: Input name -> shape at which to cost it.
        rates: Rates of the machine for which to estimate times; generic ones by default.

    Raises:
        UsageError: A shape does not fit it.
    """
    refuse_unknown(model, shapes or {})
    interface = Interface.of(model)
    infer_shapes(model)
    counted = Counter(_operator(node) for node in nodes(model) if not is_constant_node(node))
    functions = tuple(f"{function.domain}.{function.name}" for function in model.functions.values())
    return Inspection(
        source=source,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        ir_version=model.ir_version,
        opsets=dict(model.opset_imports),
        inputs=tuple((port.name, port.describe()) for port in interface.inputs),
        outputs=tuple((port.name, port.describe()) for port in interface.outputs),
        nodes=count_nodes(model),
        ops=dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
        bodies=sum(1 for _ in graphs(model)) - 1 - len(functions),
        functions=functions,
        external_files=_external_files(model),
        metadata=dict(model.metadata_props),
        cost=estimate(model, shapes=shapes, rates=rates, programs=program_work),
        notes=tuple(notes),
    )


def _external_files(model: ir.Model) -> tuple[str, ...]:
    tensors = (value.const_value for graph in graphs(model) for value in graph.initializers.values())
    files = {os.fspath(tensor.location) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    return tuple(sorted(files))


def _operator(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type
