"""Static cost of a model: walks its graphs once and applies the cost rules to concrete shapes.

It never changes the model and runs nothing; shapes must have been inferred or be given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from graphopt.cost.call import Call, Kind, ProgramWork, Shape, UnknownShapeError, tensor_bytes
from graphopt.cost.dims import Dims
from graphopt.cost.liveness import peak_bytes
from graphopt.cost.model_cost import ModelCost, NodeCost, Parameters, body_cost
from graphopt.cost.parameters import count_parameters, is_constant, is_generated, is_parameter
from graphopt.cost.rates import GENERIC, MachineRates
from graphopt.cost.rules import CONTROL_FLOW, UNCOUNTED, rule_for
from graphopt.errors import LoadError
from graphopt.ir import attribute_int, attribute_ints, is_constant_node, is_program, scalar, subgraphs


def estimate(
    model: ir.Model,
    *,
    bindings: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    rates: MachineRates | None = None,
    programs: Callable[[Call], ProgramWork] | None = None,
) -> ModelCost:
    """Estimate what a model with inferred shapes costs.

    If counts its dearest branch; Loop its trip count where that is constant, else one trip; Scan one trip for
    each step of its first scanned input; a call of a model-local function its body. A graph is costed as
    written: operators that a runtime would fuse are counted apart.

    Args:
        model: The model; it is only read.
        bindings: Dimension name -> size. What is not bound is assumed (see `Dims`) and listed in the result.
        shapes: Value name -> concrete shape, for the inputs or, from an execution, for any values.
        rates: Rates of the machine to estimate time for; generic ones by default.
        programs: What a compiled region does, which only their makers can tell; without it none is counted.
            Raises an UnknownShapeError where it needs a shape, and a LoadError for what is no program.

    Raises:
        UsageError: A binding or shape does not fit the model.
    """
    estimator = _Estimator(model, Dims(model, bindings, shapes), rates or GENERIC, programs)
    nodes, peak = estimator.graph(model.graph)
    stored, generated = count_parameters(model, estimator.shape)
    inside = estimator.inside.values()
    stored = Parameters(
        stored.elements + sum(each.parameters for each in inside),
        stored.bytes + sum(each.parameter_bytes for each in inside),
    )
    return ModelCost(
        nodes=nodes,
        parameters=stored,
        generated=generated,
        activation_peak_bytes=peak,
        rates=estimator.rates,
        assumed=estimator.dims.assumed,
        guessed=estimator.dims.guessed,
        unknown_ops=estimator.unknown_ops,
        unknown_shapes=estimator.unknown_shapes,
        notes=estimator.notes,
    )


class _Estimator:
    """Walks graphs; remembers shapes, and everything that could not be counted."""

    def __init__(
        self,
        model: ir.Model,
        dims: Dims,
        rates: MachineRates,
        programs: Callable[[Call], ProgramWork] | None,
    ) -> None:
        self.dims = dims
        self.rates = rates
        self.inside: dict[ir.Node, ProgramWork] = {}
        self._programs = programs
        self.unknown_ops: dict[str, str] = {}
        self.unknown_shapes: list[str] = []
        self.notes: list[str] = []
        self._functions = model.functions
        self._shapes: dict[ir.Value, Shape | None] = {}

    def graph(self, graph: ir.Graph) -> tuple[list[NodeCost], int]:
        """Costs of the nodes of a graph, and its peak of activation bytes."""
        costs: list[NodeCost] = []
        inner: dict[ir.Node, int] = {}
        for node in graph:
            if is_constant_node(node):
                continue
            bodies = self._bodies(node)
            if bodies is None:
                costs.append(self._node(node))
                if node in self.inside:
                    inner[node] = self.inside[node].arena
                continue
            walked = [self.graph(body) for body in bodies]
            inner[node] = max((peak for _, peak in walked), default=0)
            costs.append(body_cost(_name(node), _operator(node), [c for c, _ in walked], self._trips(node)))
        return costs, peak_bytes(graph, self._activation_bytes, inner)

    def shape(self, value: ir.Value | None) -> Shape | None:
        """The concrete shape of a value, or None."""
        if value is None:
            return None
        if value not in self._shapes:
            self._shapes[value] = self.dims.shape(value)
        return self._shapes[value]

    def _elements(self, value: ir.Value) -> int:
        shape = self.shape(value)
        return 0 if shape is None else math.prod(shape)

    def _activation_bytes(self, value: ir.Value) -> int:
        shape = self.shape(value)
        return 0 if shape is None or is_constant(value) else tensor_bytes(shape, value.dtype)

    def _bodies(self, node: ir.Node) -> list[ir.Graph] | None:
        if node.op_type in CONTROL_FLOW and node.domain == "":
            return subgraphs(node)
        if self._functions and rule_for(node) is None:
            function = self._functions.get(node.op_identifier())
            return None if function is None else [function.graph]
        return None

    def _trips(self, node: ir.Node) -> int:
        trips: int | None = 1
        if node.op_type == "Loop":
            bound = scalar(node.inputs[0])
            trips = None if bound is None else max(int(bound), 0)
        elif node.op_type == "Scan":
            scanned = self.shape(node.inputs[-attribute_int(node, "num_scan_inputs", 1)])
            axes = attribute_ints(node, "scan_input_axes")
            axis = axes[0] if axes else 0
            trips = scanned[axis] if scanned and -len(scanned) <= axis < len(scanned) else None
        if trips is None:
            self.notes.append(
                f"{_operator(node)} {_name(node)}: its trip count is not known; one trip is counted"
            )
        return 1 if trips is None else trips

    def _node(self, node: ir.Node) -> NodeCost:
        inputs, outputs = node.inputs, node.outputs
        name, operator = _name(node), _operator(node)
        params = sum(self._elements(value) for value in inputs if value is not None and is_parameter(value))
        if is_generated(node):
            return NodeCost(name, operator, params, Kind.FREE, seconds=0.0)
        if is_program(node) and self._programs is not None:
            return self._program(node, self._programs)
        rule = rule_for(node)
        if rule is None:
            self.unknown_ops.setdefault(operator, UNCOUNTED.get(node.op_type, "no cost rule"))
            return NodeCost(name, operator, params)
        call = self._call(node)
        try:
            work = rule(call)
        except (ArithmeticError, IndexError, TypeError, UnknownShapeError, ValueError) as error:
            self.unknown_shapes.append(f"{operator} {name}: {_reason(error, call)}")
            return NodeCost(name, operator, params)
        read, written = work.bytes_read, work.bytes_written
        if read is None:
            read = sum(call.in_bytes(index) for index in range(len(inputs)))
        if written is None:
            written = sum(call.out_bytes(index) for index in range(len(outputs)))
        if unknown := call.unknown_bytes:
            self.unknown_shapes.append(f"{operator} {name}: {', '.join(unknown)}; its bytes are not counted")
        seconds = self.rates.seconds(work.kind, work.flops, read + written, work.working_set)
        return NodeCost(name, operator, params, work.kind, work.macs, work.flops, read, written, seconds)

    def _program(self, node: ir.Node, programs: Callable[[Call], ProgramWork]) -> NodeCost:
        """A compiled region: its steps one after the other, without what starting a node takes."""
        name, operator, call = _name(node), _operator(node), self._call(node)
        try:
            found = programs(call)
        except UnknownShapeError as error:
            self.unknown_shapes.append(f"{operator} {name}: {_reason(error, call)}")
            return NodeCost(name, operator)
        except LoadError as error:
            self.unknown_ops.setdefault(operator, error.message)
            return NodeCost(name, operator)
        self.inside[node] = found
        moved = [(work.bytes_read or 0) + (work.bytes_written or 0) for work in found.steps]
        seconds = sum(
            self.rates.seconds(work.kind, work.flops, count, work.working_set) - self.rates.node_overhead
            for work, count in zip(found.steps, moved, strict=True)
        )
        return NodeCost(
            name,
            operator,
            found.parameters,
            Kind.INT8,
            sum(work.macs for work in found.steps),
            sum(work.flops for work in found.steps),
            sum(work.bytes_read or 0 for work in found.steps),
            sum(work.bytes_written or 0 for work in found.steps),
            seconds + self.rates.node_overhead,
        )

    def _call(self, node: ir.Node) -> Call:
        return Call(
            node, [self.shape(value) for value in node.inputs], [self.shape(value) for value in node.outputs]
        )


def _name(node: ir.Node) -> str:
    return node.name or next((value.name for value in node.outputs if value.name), "")


def _operator(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def _reason(error: Exception, call: Call) -> str:
    if isinstance(error, UnknownShapeError):
        return str(error)
    return f"shapes do not fit the operator: inputs {call.inputs}, outputs {call.outputs}"
