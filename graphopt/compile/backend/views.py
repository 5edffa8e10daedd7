"""Outputs of a captured graph that share memory, and sizes it returns: a runtime that copies gives neither.

They are taken out of the graph into a small one, the tail, which PyTorch runs on the inputs and on what the
runtime returned. Nothing here compiles or decides.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from graphopt.errors import TraceError

_IN_PLACE = (
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod,
    operator.ipow, operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift,
    operator.imatmul,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the outputs of a graph come about.

    Attributes:
        computed: Nodes that the runtime has to return.
        tail: Called with all arguments of the graph and then with what was computed, it returns the outputs;
            None where they are just what was computed, in that order.
    """

    computed: tuple[fx.Node, ...]
    tail: fx.GraphModule | None


def plan_outputs(graph_module: fx.GraphModule, args: Sequence[Any], result: Sequence[Any]) -> Plan:
    """Decide which outputs the runtime returns and which follow from them.

    Args:
        graph_module: A graph that returns a flat tuple.
        args: Arguments to run it on, which it may write to.
        result: What it returned for the like of them.

    Raises:
        TraceError: Outputs share memory in a way that cannot be had again.
    """
    outputs = _outputs(graph_module)
    shared = _shared(args, result)
    special = [
        node
        for node, value in zip(outputs, result, strict=True)
        if isinstance(node, fx.Node) and (not isinstance(value, torch.Tensor) or _storage(value) in shared)
    ]
    plain = [node for node in outputs if isinstance(node, fx.Node) and node not in special]
    if not special and plain == list(outputs) and len(set(plain)) == len(plain):
        return Plan(tuple(plain), None)
    storages = _Storages(graph_module).of_nodes(args) if special else {}
    cutter = _Cutter(graph_module, storages)
    for node in special:
        cutter.need(node)
    for node in plain:
        cutter.compute(node)
    return Plan(tuple(cutter.computed), cutter.finish(outputs))


def _outputs(graph_module: fx.GraphModule) -> Sequence[Any]:
    outputs = graph_module.graph.output_node().args[0]
    if not isinstance(outputs, (tuple, list)):
        raise TraceError("the captured graph does not return a tuple")
    return outputs


def _shared(args: Sequence[Any], result: Sequence[Any]) -> set[int]:
    """Storages of outputs that belong to an argument as well, or to several outputs."""
    of_arguments = {_storage(each) for each in args if isinstance(each, torch.Tensor)}
    distinct = {id(each): each for each in result if isinstance(each, torch.Tensor)}.values()
    found = [_storage(each) for each in distinct if each.numel()]
    return {storage for storage in found if storage in of_arguments or found.count(storage) > 1}


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage().data_ptr())


class _Storages(fx.Interpreter):  # type: ignore[misc]
    """Runs a graph once and keeps every value, so that no memory is used twice."""

    def __init__(self, graph_module: fx.GraphModule) -> None:
        super().__init__(graph_module, garbage_collect_values=False)
        self._found: dict[fx.Node, int] = {}

    def of_nodes(self, args: Sequence[Any]) -> dict[fx.Node, int]:
        """Storage by node; -1 for a node of tensors in several."""
        self.run(*args)
        return self._found

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        storages = {_storage(leaf) for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor)}
        if storages and n.op != "output":
            self._found[n] = storages.pop() if len(storages) == 1 else -1
        return value


class _Cutter:
    """Builds the tail: nodes are recomputed back to arguments, or to the first node of their memory."""

    def __init__(self, graph_module: fx.GraphModule, storages: Mapping[fx.Node, int]) -> None:
        self.computed: list[fx.Node] = []
        self._module = graph_module
        self._storages = storages
        self._graph = fx.Graph()
        self._made: dict[fx.Node, fx.Node] = {}
        self._last: fx.Node | None = None
        first: dict[int, fx.Node] = {}
        for node in graph_module.graph.nodes:
            if node.op == "placeholder":
                self._made[node] = self._input(node.name)
            if node in storages:
                first.setdefault(storages[node], node)
        self._first = set(first.values())

    def need(self, node: fx.Node) -> fx.Node:
        """The value of a node in the tail."""
        if node in self._made:
            return self._made[node]
        if node in self._storages and (node in self._first or self._storages[node] == -1):
            return self.compute(node)
        if node in self._storages and _writes(node):
            self._made[node] = self.need(node.all_input_nodes[0])
            return self._made[node]
        for each in node.all_input_nodes:
            self.need(each)
        self._made[node] = self._graph.node_copy(node, lambda old: self._made[old])
        return self._made[node]

    def compute(self, node: fx.Node) -> fx.Node:
        """Let the runtime return a node."""
        if self._storages.get(node) == -1:
            raise TraceError("outputs share memory with parts of a value")
        if node not in self._made:
            self._made[node] = self._input(f"{node.name}_computed")
            self.computed.append(node)
        return self._made[node]

    def finish(self, outputs: Sequence[Any]) -> fx.GraphModule:
        self._graph.output(fx.map_arg(tuple(outputs), lambda node: self._made[node]))
        return fx.GraphModule(self._module, self._graph)

    def _input(self, name: str) -> fx.Node:
        """A placeholder after those that are there and before everything else."""
        if self._last is None:
            self._last = self._graph.placeholder(name)
        else:
            with self._graph.inserting_after(self._last):
                self._last = self._graph.placeholder(name)
        return self._last


def _writes(node: fx.Node) -> bool:
    """Whether an operation writes to its first operand and returns it."""
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    if node.op != "call_function":
        return False
    name = getattr(node.target, "__name__", "").partition(".")[0]
    return node.target in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
