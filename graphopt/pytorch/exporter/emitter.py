"""Emits one ONNX graph as one torch.fx graph: parameters, placeholders, calls, and bodies of control flow.

It holds what is common to a graph; what an operator means stands in `ops`, what a node offers a translator in
`Site`. Nothing here changes the ONNX model.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import onnx_ir as ir
import torch
from torch import fx

from graphopt.errors import TranslationError
from graphopt.ir import constant_tensor
from graphopt.pytorch.exporter.constants import Constants
from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.names import identifier, spoken_name
from graphopt.pytorch.exporter.pickling import Reader
from graphopt.pytorch.exporter.registry import translator_of
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.size_rules import size_translation
from graphopt.pytorch.exporter.sizes import Sizes

Emitted: TypeAlias = "fx.Node | Sizes"


class Emitter:
    """One fx graph under construction.

    Args:
        constants: Holds the parameters and buffers of the module.
        outer: The emitter of the graph around a body.
        own_nodes: The nodes of a body, which has the constants that only they use for its own; it gets every
            other value from outside as an operand.
    """

    def __init__(
        self, constants: Constants, outer: Emitter | None = None, own_nodes: frozenset[ir.Node] = frozenset()
    ) -> None:
        self.graph = fx.Graph(tracer_cls=Reader)
        self.root = constants.root
        self.captured: list[Emitted] = []
        self._constants = constants
        self._outer = outer
        self._own_nodes = own_nodes
        self._values: dict[ir.Value, Emitted] = {}
        self._captured: dict[fx.Node, fx.Node] = {}
        self._materialized: dict[Sizes, fx.Node] = {}
        self._shared: dict[tuple[Any, ...], fx.Node] = {}
        self._last_placeholder: fx.Node | None = None
        self._arguments: set[str] = set()

    def placeholder(self, name: str, default: bool = False) -> fx.Node:
        """An input, after those that are there; with `default`, one that may be left out."""
        default_value = (None,) if default else ()
        if self._last_placeholder is None:
            first = next(iter(self.graph.nodes), None)
            with self.graph.inserting_before(first):
                node = self.graph.placeholder(identifier(name), None, *default_value)
        else:
            with self.graph.inserting_after(self._last_placeholder):
                node = self.graph.placeholder(identifier(name), None, *default_value)
        if node.target in self._arguments:
            node.target = node.name  # torch.fx numbers names, and not those of arguments
        self._arguments.add(str(node.target))
        self._last_placeholder = node
        return node

    def stored(self, value: ir.Value) -> fx.Node:
        """The stored default of a graph input."""
        return self.graph.create_node("get_attr", self._constants.target(value))

    def set(self, value: ir.Value, emitted: Emitted) -> None:
        """Let `emitted` stand for `value`."""
        self._values[value] = emitted

    def get(self, value: ir.Value) -> Emitted:
        """What stands for a value: computed here, a constant, or captured from the graph around."""
        if value not in self._values:
            self._values[value] = self._constant(value) or self._capture(value)
        return self._values[value]

    def find(self, value: ir.Value) -> Emitted | None:
        """What stands for a value, without creating a parameter for a constant."""
        if value in self._values:
            return self._values[value]
        return None if constant_tensor(value) is not None else self.get(value)

    def tensor(self, value: ir.Value) -> fx.Node:
        """The tensor that stands for a value."""
        return self.materialize(self.get(value))

    def materialize(self, emitted: Emitted) -> fx.Node:
        """A tensor from what stands for a value."""
        if not isinstance(emitted, Sizes):
            return emitted
        if emitted not in self._materialized:
            plain = emitted.items and emitted.dtype == ir.DataType.INT64
            given = {} if plain else {"dtype": torch_dtype(emitted.dtype)}
            self._materialized[emitted] = self.call(torch.tensor, emitted.nested, **given)
        return self._materialized[emitted]

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """A call of a function."""
        return self.graph.create_node("call_function", function, args, kwargs)

    def method(self, name: str, *args: Any, **kwargs: Any) -> fx.Node:
        """A call of a tensor's method; the tensor comes first."""
        return self.graph.create_node("call_method", name, args, kwargs)

    def shared(self, key: tuple[Any, ...], create: Callable[[], fx.Node]) -> fx.Node:
        """The node made for `key` before, or a new one."""
        if key not in self._shared:
            self._shared[key] = create()
        return self._shared[key]

    def item(self, x: fx.Node, index: Any) -> fx.Node:
        """`x[index]`."""
        return self.shared((x, "item", str(index)), lambda: self.call(operator.getitem, x, index))

    def size(self, x: fx.Node, dim: int) -> fx.Node:
        """The size of a dimension."""
        return self.shared((x, dim), lambda: self.method("size", x, dim))

    def emit(self, graph: ir.Graph | ir.Function) -> None:
        """Emit every node of a graph whose inputs are set."""
        for node in graph:
            self._emit_node(node)

    def finish(self, outputs: Any, name: str) -> fx.GraphModule:
        """The graph module that returns `outputs`."""
        self.graph.output(outputs)
        self.graph.eliminate_dead_code()
        module = fx.GraphModule(self.root, self.graph, name)
        module.eval()
        return module

    def body(self, graph: ir.Graph, inputs: Sequence[ir.Value], hint: str) -> Body:
        """Emit a body of control flow, with placeholders for its own inputs first."""
        own_nodes = frozenset(ir.traversal.RecursiveGraphIterator(graph))
        inner = Emitter(Constants(), self, own_nodes)
        for value in inputs:
            inner.set(value, inner.placeholder(value.name or "x"))
        inner.emit(graph)
        return Body(inner, [inner.tensor(value) for value in graph.outputs], hint)

    def submodule(self, module: torch.nn.Module, hint: str) -> fx.Node:
        """Add a module under a name of its own and return the node that reads it."""
        name = hint
        count = 1
        while hasattr(self.root, name):
            count += 1
            name = f"{hint}_{count}"
        self.root.add_module(name, module)
        return self.graph.create_node("get_attr", name)

    def _emit_node(self, node: ir.Node) -> None:
        if node.domain == "" and node.op_type == "Constant":
            return
        site = Site(self, node)
        try:
            outputs = size_translation(site)
            if outputs is None:
                outputs = self._translate(site)
        except TranslationError as error:
            if error.hint is None:
                raise TranslationError(f"{_described(node)}: {error}", hint="see `graphopt.to_fx`") from error
            raise
        if not isinstance(outputs, (list, tuple)):
            outputs = [outputs]
        for value, output in zip(node.outputs, outputs, strict=False):
            if output is not None:
                self._values[value] = output
                if isinstance(output, fx.Node) and output.op.startswith("call"):
                    self._name(output, node, value)

    def _translate(self, site: Site) -> Any:
        translator = translator_of(site.node)
        if translator is None:
            raise TranslationError("the operator has no translation to PyTorch")
        return translator(site)

    def _name(self, emitted: fx.Node, node: ir.Node, value: ir.Value) -> None:
        """Name a call as its ONNX node is named; only the first value it stands for counts."""
        if "onnx" in emitted.meta:
            return
        emitted.meta["onnx"] = node.name
        wanted = spoken_name(node, value)
        if wanted:
            emitted._rename(wanted)

    def _constant(self, value: ir.Value) -> fx.Node | None:
        if constant_tensor(value) is None or not self._owns(value):
            return None
        return self.graph.create_node("get_attr", self._constants.target(value))

    def _owns(self, constant: ir.Value) -> bool:
        """Whether a constant belongs to this graph: to the whole, or to the body that alone uses it."""
        return self._outer is None or all(use.node in self._own_nodes for use in constant.uses())

    def _capture(self, value: ir.Value) -> Emitted:
        """Take a value of the graph around in as an operand; sizes one by one."""
        if self._outer is None:
            raise TranslationError(f"the value {value.name!r} is used before it is computed")
        outside = self._outer.get(value)
        if isinstance(outside, Sizes):
            items = [self._captured_node(i, "size") if isinstance(i, fx.Node) else i for i in outside.items]
            return Sizes(tuple(items), outside.shape, outside.dtype)
        return self._captured_node(outside, value.name or "x")

    def _captured_node(self, outside: fx.Node, name: str) -> fx.Node:
        if outside not in self._captured:
            self._captured[outside] = self.placeholder(name)
            self.captured.append(outside)
        return self._captured[outside]


class Body:
    """A body of control flow: its own inputs are the first operands, captured values follow.

    Attributes:
        captured: Nodes of the graph around that the body reads, in the order of its last placeholders.
    """

    def __init__(self, emitter: Emitter, outputs: list[fx.Node], hint: str) -> None:
        self._emitter = emitter
        self._outputs = outputs
        self.hint = hint
        self.captured: list[fx.Node] = [each for each in emitter.captured if isinstance(each, fx.Node)]

    def module(self, captured: Sequence[fx.Node]) -> fx.GraphModule:
        """The body as a module whose captured operands are `captured`, a superset of its own."""
        placeholders = {}
        for outside in captured:
            placeholders[outside] = self._emitter._captured_node(outside, outside.name)
        anchor = None
        for outside in captured:
            node = placeholders[outside]
            if anchor is not None and anchor.next is not node:
                anchor.append(node)
            anchor = node
        return self._emitter.finish(tuple(self._outputs), self.hint)


def _described(node: ir.Node) -> str:
    operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"{operator} {node.name!r}" if node.name else operator
