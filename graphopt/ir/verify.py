"""Structural verifier: a list of small named rules that hold before and after every pass.

It looks at structure alone (names, scopes, order, schemas), never at shapes or numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir

from graphopt.errors import VerificationError
from graphopt.ir.graphs import attribute_int
from graphopt.ir.ops import KNOWN_DOMAINS, may_hold_graphs, subgraphs

MESSAGES_SHOWN = 5


Calls = frozenset[ir.OperatorIdentifier]


class Scope:
    """Values visible at one point of one graph, and the names taken in it and around it.

    Attributes:
        graph: The graph.
        opsets: Domain -> version imported.
        calls: The functions of the model.
        outer: The scope around a body.
        in_function: Attributes may refer to those of the function's call.
        values: Defined in the graph so far.
        names: Taken in the graph so far.
    """

    def __init__(
        self,
        graph: ir.Graph,
        opsets: dict[str, int],
        calls: Calls,
        outer: Scope | None = None,
        *,
        in_function: bool = False,
    ) -> None:
        self.graph = graph
        self.opsets = opsets
        self.calls = calls
        self.outer = outer
        self.in_function = in_function
        self.values: set[ir.Value] = set()
        self.names: set[str] = set()

    def sees(self, value: ir.Value) -> bool:
        """Whether `value` is defined here or around here."""
        return value in self.values or (self.outer is not None and self.outer.sees(value))

    def takes(self, name: str) -> bool:
        """Whether `name` is taken here or around here."""
        return name in self.names or (self.outer is not None and self.outer.takes(name))

    def define(self, value: ir.Value) -> None:
        """Make `value` visible."""
        self.values.add(value)
        if value.name:
            self.names.add(value.name)


NodeRule = Callable[[ir.Node, Scope], str | None]
"""Says what is wrong with a node first, or None. Every node is asked after every pass: no generators."""


def single_definition(node: ir.Node, scope: Scope) -> str | None:
    """Every value has one name, and no other value of its scope or around it has the same."""
    for output in node.outputs:
        if output.name and scope.takes(output.name):
            return f"{_told(node)} defines {output.name!r} a second time"
    return None


def inputs_defined(node: ir.Node, scope: Scope) -> str | None:
    """Every input is defined before its use, in the node's graph or around it."""
    for value in node.inputs:
        if value is not None and value not in scope.values and not scope.sees(value):
            return f"{_told(node)} reads {value.name!r}, which is not defined before it"
    return None


def known_operator(node: ir.Node, scope: Scope) -> str | None:
    """The model imports the domain of every node, and holds the overload that it calls."""
    if node.domain not in scope.opsets:
        return f"{_told(node)} is of the domain {node.domain!r}, which the model does not import"
    if node.overload and node.op_identifier() not in scope.calls:
        return f"{_told(node)} calls an overload {node.overload!r} that the model does not hold"
    return None


def in_its_graph(node: ir.Node, scope: Scope) -> str | None:
    """Every node knows the graph that it stands in."""
    if node.graph is not scope.graph:
        return f"{_told(node)} stands in one graph and says it belongs to another"
    return None


def refers_to_a_call(node: ir.Node, scope: Scope) -> str | None:
    """Attributes refer to those of a call in functions alone."""
    if scope.in_function:
        return None
    for name, attribute in node.attributes.data.items():
        if attribute.is_ref():
            referred = attribute.ref_attr_name
            return f"{_told(node)} takes {name!r} from {referred!r} of a call, and stands in no function"
    return None


def fits_schema(node: ir.Node, scope: Scope) -> str | None:
    """Operators of the standard exist at the opset, with the arity and attributes it gives them."""
    version = scope.opsets.get(node.domain)
    if version is None or node.domain not in KNOWN_DOMAINS:
        return None
    schema = _schema(node.domain, node.op_type, version)
    exists = schema is not None
    if schema is None:
        schema = _newest_schema(node.domain, node.op_type)
        if schema is None:
            return None
    given = node.inputs
    inputs = len(given)
    while inputs and given[inputs - 1] is None:
        inputs -= 1
    if inputs > schema.max_inputs or len(given) < schema.min_inputs:
        found = inputs if inputs > schema.max_inputs else len(given)
        return f"{_told(node)} has {found} inputs, expected {schema.min_inputs} to {schema.max_inputs}"
    if len(node.outputs) < schema.min_outputs:
        return f"{_told(node)} has {len(node.outputs)} outputs, expected at least {schema.min_outputs}"
    if len(node.outputs) > schema.max_outputs:
        return f"{_told(node)} has {len(node.outputs)} outputs, expected at most {schema.max_outputs}"
    if not exists:
        return (
            None  # onnxruntime runs some operators at opsets older than they are, with what they always took
        )
    attributes = node.attributes.data  # the plain dict: this runs for every node after every pass
    for name, attribute in attributes.items():
        expected = schema.attributes.get(name)
        if expected is None:
            return f"{_told(node)} has an attribute {name!r} that opset {version} does not know"
        if attribute.type is not expected:
            return f"{_told(node)} has {name!r} of type {attribute.type.name}, expected {expected.name}"
    for name in schema.required:
        if name not in attributes:
            return f"{_told(node)} lacks the attribute {name!r}"
    return None


def has_groups(node: ir.Node, scope: Scope) -> str | None:
    """Convolutions have one group or more: onnxruntime divides by their number, and ends the process."""
    attribute = node.attributes.data.get("group")
    if attribute is None or node.domain or attribute.is_ref() or attribute.type is not ir.AttributeType.INT:
        return None
    return None if attribute.value > 0 else f"{_told(node)} has {attribute.value} groups, expected at least 1"


def bodies_fit(node: ir.Node, scope: Scope) -> str | None:
    """Bodies of control flow take and return as many values as the node gives and takes."""
    arity = _BODY_ARITIES.get(node.op_type)
    if arity is None or node.domain or any(each.is_ref() for each in node.attributes.data.values()):
        return None
    taken, returned = arity(node, scope.opsets.get("", 1))
    scanned = attribute_int(node, "num_scan_inputs", 1)
    if scanned > len(node.inputs) and node.op_type == "Scan":
        return f"{_told(node)} has {len(node.inputs)} inputs, and num_scan_inputs is {scanned}"
    for body in subgraphs(node):
        if len(body.inputs) != taken:
            return f"the body {body.name!r} of {_told(node)} has {len(body.inputs)} inputs, expected {taken}"
        if len(body.outputs) < returned:
            found = len(body.outputs)
            return f"the body {body.name!r} of {_told(node)} has {found} outputs, expected {returned}"
    return None


def _if_arity(node: ir.Node, version: int) -> tuple[int, int]:
    return 0, len(node.outputs)


def _loop_arity(node: ir.Node, version: int) -> tuple[int, int]:
    return max(len(node.inputs), 2), 1 + len(node.outputs)


def _scan_arity(node: ir.Node, version: int) -> tuple[int, int]:
    lengths = 1 if version < 9 else 0  # the first input held the lengths of sequences
    return len(node.inputs) - lengths, len(node.outputs)


_BODY_ARITIES = {"If": _if_arity, "Loop": _loop_arity, "Scan": _scan_arity}
"""How many inputs a body has, and the fewest outputs."""


NODE_RULES: tuple[NodeRule, ...] = (
    single_definition,
    inputs_defined,
    known_operator,
    in_its_graph,
    refers_to_a_call,
    fits_schema,
    has_groups,
    bodies_fit,
)


def violations(model: ir.Model) -> Iterator[str]:
    """What is wrong with the structure of `model`, in words; of each node what is found first."""
    calls = frozenset(function.identifier() for function in model.functions.values())
    yield from _graph_violations(Scope(model.graph, model.graph.opset_imports, calls))
    for function in model.functions.values():
        opsets = {**model.opset_imports, **function.opset_imports}
        yield from _graph_violations(Scope(function.graph, opsets, calls, in_function=True))


def verify(model: ir.Model, *, after: str = "") -> None:
    """Check every structural rule.

    Args:
        model: Looked at, never changed.
        after: What was done last, for the message.

    Raises:
        VerificationError: A rule does not hold; the message names the first few nodes.
    """
    found = list(violations(model))
    if found:
        shown = "; ".join(found[:MESSAGES_SHOWN])
        more = f" (and {len(found) - MESSAGES_SHOWN} more)" if len(found) > MESSAGES_SHOWN else ""
        prefix = f"after {after}: " if after else ""
        raise VerificationError(f"{prefix}the graph is not valid: {shown}{more}")


def _graph_violations(scope: Scope) -> Iterator[str]:
    graph = scope.graph
    for value in graph.inputs:
        if value.name and scope.takes(value.name):
            yield f"the graph input {value.name!r} is defined a second time"
        scope.define(value)
    for name, value in graph.initializers.items():
        if not value.is_graph_input() and scope.takes(name):
            yield f"the initializer {name!r} is defined a second time"
        if not hasattr(type(value.const_value), "nbytes"):
            yield f"the initializer {name!r} has no tensor"
        scope.define(value)
    for node in graph:
        for rule in NODE_RULES:
            broken = rule(node, scope)
            if broken is not None:
                yield broken
                break
        for body in subgraphs(node) if may_hold_graphs(node) else ():
            inner = Scope(body, scope.opsets, scope.calls, scope, in_function=scope.in_function)
            yield from _graph_violations(inner)
        for output in node.outputs:
            scope.define(output)
    for value in graph.outputs:
        if value not in scope.values:
            yield f"the graph output {value.name!r} is not defined in its graph"
        if not value.name:
            yield "a graph output has no name"


class _Schema:
    """The few facts of an ONNX schema that are checked, read once."""

    def __init__(self, schema: Any) -> None:
        self.min_inputs: int = schema.min_input
        self.max_inputs: int = schema.max_input
        self.min_outputs: int = schema.min_output
        self.max_outputs: int = schema.max_output
        self.attributes = {
            name: ir.AttributeType(attribute.type.value) for name, attribute in schema.attributes.items()
        }
        self.required = [name for name, attribute in schema.attributes.items() if attribute.required]


@functools.cache
def _schema(domain: str, op_type: str, version: int) -> _Schema | None:
    import onnx.defs

    try:
        return _Schema(onnx.defs.get_schema(op_type, version, domain))
    except onnx.defs.SchemaError:
        return None


@functools.cache
def _newest_schema(domain: str, op_type: str) -> _Schema | None:
    """The schema of an operator that came later than an opset, or went before."""
    import onnx.defs

    try:
        return _Schema(onnx.defs.get_schema(op_type, domain))
    except onnx.defs.SchemaError:
        return None


def _told(node: ir.Node) -> str:
    return f"{node.op_type} {node.name!r}"
