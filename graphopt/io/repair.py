"""The walk over a model as it was written: names, scopes, order, attributes, tensors, checked and repaired.

A repair is made where the model has one meaning only, and each leaves a note; everything else is refused. The
interface never changes, and no number of a tensor is looked at.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import onnx

from graphopt.errors import ModelError
from graphopt.io.arguments import check_arguments
from graphopt.io.attributes import AttributeChecker
from graphopt.io.calls import Call, call_of, check_arity, check_calls
from graphopt.io.names import FreshNames, bodies, check_text, listed, nested_nodes, told, value_names
from graphopt.io.order import sort_nodes
from graphopt.io.scopes import Scope
from graphopt.io.tensors import TensorChecker

# No file holds more: protobuf stops at 100 messages, and each body lies three below the graph around it.
DEEPEST_BODY = 33


def repair_model(proto: onnx.ModelProto, tensors: TensorChecker, notes: list[str]) -> None:
    """Check `proto` and repair it in place; its versions must have been checked.

    Args:
        proto: The model.
        tensors: The checker of its tensors.
        notes: Gains a line for each repair.

    Raises:
        ModelError: The model has no single meaning; the message names the node or value.
        LoadError: External data is not there.
    """
    if not proto.graph.output:
        raise ModelError(
            "the graph has no outputs, so that there is nothing to compute", hint="name its outputs"
        )
    calls: dict[Call, Counter[Call]] = {}
    functions: dict[Call, onnx.FunctionProto] = {}
    for function in proto.functions:
        called = (function.domain, function.name, function.overload)
        if called in functions:
            raise ModelError(f"two functions are named {function.name!r} in the domain {function.domain!r}")
        if not function.opset_import:
            function.opset_import.extend(proto.opset_import)
            notes.append(f"the function {function.name!r} declared no opset; it has the model's")
        functions[called] = function
        calls[called] = _Walk(function.opset_import, tensors, notes).function(function)
    main = _Walk(proto.opset_import, tensors, notes).main_graph(proto.graph)
    check_calls(calls, main)
    for nodes in (proto.graph.node, *(function.node for function in proto.functions)) if functions else ():
        check_arity(list(nested_nodes(nodes)), functions)


class _Walk:
    """The walk over the main graph or over one function, with what all its scopes share.

    Args:
        opsets: The opset imports that hold there.
        tensors: The checker of tensors.
        notes: Gains a line for each repair.
    """

    def __init__(self, opsets: Any, tensors: TensorChecker, notes: list[str]) -> None:
        self._opsets = opsets
        self._versions: dict[str, int] = {entry.domain: entry.version for entry in opsets}
        self._tensors = tensors
        self._notes = notes
        self._attributes = AttributeChecker(tensors, notes)
        self._calls: Counter[Call] = Counter()
        self._node_names: set[str] = set()
        self._twice_named: list[str] = []

    def main_graph(self, graph: onnx.GraphProto) -> Counter[Call]:
        """Check and repair the main graph and the bodies in it; how often it calls each operator."""
        self._name_from(graph.node, (item.name for item in (*graph.input, *graph.output, *graph.initializer)))
        self._graph(graph, None, "the graph", 0)
        self._finish("the model")
        return self._calls

    def function(self, function: onnx.FunctionProto) -> Counter[Call]:
        """Check and repair a function; how often it calls each operator and function."""
        where = f"the function {function.name!r}"
        self._name_from(function.node, (*function.input, *function.output))
        _refuse_repeated(function.input, f"inputs of {where}")
        for attribute in function.attribute_proto:
            self._attributes.check(attribute, f"the default of {attribute.name!r} of {where}")
        for info in function.value_info:
            self._attributes.check_type(info.type, f"the value {info.name!r} of {where}")
        scope = Scope(None, where, function.input, (), function.node, self._fresh)
        self._nodes(function.node, scope, 0)
        for name in function.output:
            _check_kept(name, scope)
        self._order(function.node, scope)
        self._finish(where)
        return self._calls

    def _name_from(self, nodes: Sequence[onnx.NodeProto], more: Iterable[str]) -> None:
        self._fresh = FreshNames(lambda: itertools.chain(value_names(nodes), more))
        self._fresh_nodes = FreshNames(lambda: (node.name for node in nested_nodes(nodes)))

    def _finish(self, owner: str) -> None:
        if self._twice_named:
            self._notes.append(
                f"nodes of {owner} shared a name, now named apart: {listed(self._twice_named)}"
            )
        for domain in sorted({domain for domain, _, _ in self._calls} - self._versions.keys()):
            if not domain:
                raise ModelError(f"{owner} uses operators of the standard and imports no opset of it")
            self._opsets.add(domain=domain, version=1)
            self._notes.append(
                f"{owner} uses the domain {domain!r} without importing it; version 1 is imported"
            )

    def _graph(self, graph: onnx.GraphProto, outer: Scope | None, where: str, depth: int) -> None:
        if depth > DEEPEST_BODY:
            raise ModelError(
                f"control flow is nested more than {DEEPEST_BODY} deep", hint="inline the inner bodies"
            )
        self._initializers(graph, where)
        inputs = [info.name for info in graph.input]
        _refuse_repeated(inputs, f"inputs of {where}")
        for info in itertools.chain(graph.input, graph.output, graph.value_info):
            self._attributes.check_type(info.type, f"the value {info.name!r}")
        initializers = [tensor.name for tensor in graph.initializer]
        scope = Scope(outer, where, inputs, initializers, graph.node, self._fresh)
        self._nodes(graph.node, scope, depth)
        for info in graph.output:
            if outer is None:
                _check_kept(info.name, scope)
            else:
                info.name = self._body_output(info.name, graph, scope)
        self._order(graph.node, scope)
        scope.rename_declarations(graph)

    def _order(self, nodes: Any, scope: Scope) -> None:
        scope.close(self._notes)
        if scope.reads_ahead is not None:
            sort_nodes(nodes, scope.where)
            self._notes.append(f"{scope.where} was not in topological order; its nodes are sorted")

    def _initializers(self, graph: onnx.GraphProto, where: str) -> None:
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            graph.initializer.append(self._tensors.dense(sparse, f"the initializer {name!r}"))
            self._notes.append(f"the sparse initializer {name!r} is written out with its zeros")
        del graph.sparse_initializer[:]
        first: dict[str, onnx.TensorProto] = {}
        dropped = []
        for index, tensor in enumerate(graph.initializer):
            self._tensors.check(tensor, f"the initializer {tensor.name!r}")
            if not tensor.name:
                self._notes.append(f"dropped an initializer of {where} without a name, which nothing can use")
                dropped.append(index)
            elif tensor.name not in first:
                first[tensor.name] = tensor
            elif tensor == first[tensor.name]:
                self._notes.append(f"dropped the second copy of the initializer {tensor.name!r}")
                dropped.append(index)
            else:
                raise ModelError(f"two different initializers of {where} are named {tensor.name!r}")
        for index in reversed(dropped):
            del graph.initializer[index]

    def _nodes(self, nodes: Any, scope: Scope, depth: int) -> None:
        for node in nodes:
            if node.domain == "ai.onnx":
                node.domain = ""
            check_text(node.op_type, f"the operator of a node of {scope.where}")
            check_text(node.domain, f"the domain of {told(node)}")
            check_text(node.name, f"the name of {told(node)}")
            if not node.op_type:
                raise ModelError(f"a node of {scope.where} has no operator: {told(node)}")
            self._calls[call_of(node)] += 1
            for index, name in enumerate(node.input):
                if name and (given := scope.look_up(name, node)) != name:
                    node.input[index] = given
            if node.attribute:
                self._attributes.check_node(node, self._versions.get(node.domain))
                check_arguments(node)
                for body in bodies(node):
                    self._graph(body, scope, f"the body {body.name!r} of {told(node)}", depth + 1)
            for index, name in enumerate(node.output):
                if name and (given := scope.define(name)) != name:
                    node.output[index] = given
            if node.name in self._node_names:
                self._twice_named.append(node.name)
                node.name = self._fresh_nodes.like(node.name)
            elif node.name:
                self._node_names.add(node.name)

    def _body_output(self, name: str, graph: onnx.GraphProto, scope: Scope) -> str:
        """The name of a body's output; a body may return only what it defines itself."""
        if name in scope.current:
            return scope.current[name]
        node = onnx.NodeProto(op_type="Identity", output=[self._fresh.like(name)])
        node.input.append(scope.look_up(name, node))
        graph.node.append(node)
        self._notes.append(f"{scope.where} returned {name!r} from around it; an Identity now stands between")
        return str(node.output[0])


def _check_kept(name: str, scope: Scope) -> None:
    """Check that the graph defines its output `name` and may go on calling it so."""
    if name not in scope.current:
        raise ModelError(
            f"the output {name!r} of {scope.where} is defined by no node, input or initializer",
            hint="remove it from the outputs, or restore the node that made it",
        )
    if scope.current[name] != name:
        raise ModelError(f"{name!r} is an input and an output of {scope.where} and defined again between")


def _refuse_repeated(names: Sequence[str], what: str) -> None:
    seen = set()
    for name in names:
        if not name or name in seen:
            raise ModelError(
                f"two of the {what} are named {name!r}" if name else f"one of the {what} has no name"
            )
        seen.add(name)
