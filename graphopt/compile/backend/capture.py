"""From a graph that torch.compile captured to the graph IR: weights become constants, sizes stay free.

It takes the graph apart and puts it together again as a module that can be traced. It runs nothing.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Iterable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import fx

from graphopt.compile.backend.fast_paths import SPELLED_OUT
from graphopt.pytorch import trace
from graphopt.pytorch.signature import SIGNATURE_KEY, Signature

_PATH = re.compile(r"_(?:modules|parameters|buffers)\[(?:'([^']+)'|\"([^\"]+)\")\]")


@dataclasses.dataclass(frozen=True)
class Roles:
    """What the arguments of a captured graph are, by position.

    Attributes:
        weights: Parameters and buffers that the graph only reads: constants while they stay as they are.
        tensors: Other tensors: inputs.
        written: Those of them that the graph writes to.
        sizes: Whole numbers that are a dimension of an input -> position of that input, dimension.
        numbers: Other numbers, each a constant of its own compilation; a Python float may come as a tensor.
    """

    weights: tuple[int, ...]
    tensors: tuple[int, ...]
    written: tuple[int, ...]
    sizes: dict[int, tuple[int, int]]
    numbers: tuple[int, ...]

    @staticmethod
    def of(graph_module: fx.GraphModule, args: Sequence[Any], written: frozenset[int]) -> Roles:
        """Tell the roles from what torch.compile noted at the arguments.

        Args:
            graph_module: The captured graph.
            args: Arguments of a call.
            written: Positions of the arguments that it writes to.
        """
        nodes = placeholders(graph_module)
        weights, tensors, numbers = [], [], []
        for position, (node, arg) in enumerate(zip(nodes, args, strict=True)):
            if not isinstance(arg, torch.Tensor) or _is_number(node, arg):
                numbers.append(position)
            elif position not in written and _is_weight(node, arg):
                weights.append(position)
            else:
                tensors.append(position)
        dims = {
            str(size): (position, dim)
            for position in reversed(tensors)
            for dim, size in enumerate(_sizes(nodes[position]))
            if _is_free(size)
        }
        symbols = {position: str(nodes[position].meta.get("example_value")) for position in numbers}
        sizes = {position: dims[symbol] for position, symbol in symbols.items() if symbol in dims}
        rest = tuple(position for position in numbers if position not in sizes)
        return Roles(tuple(weights), tuple(tensors), tuple(sorted(written)), sizes, rest)

    def fixed(self) -> Roles:
        """The same with all sizes as constants of their own compilation."""
        return dataclasses.replace(self, sizes={}, numbers=tuple(sorted((*self.numbers, *self.sizes))))


@dataclasses.dataclass(frozen=True)
class Captured:
    """A captured graph in the graph IR.

    Attributes:
        model: Its inputs are those arguments that are tensors.
        inputs: Position of the argument by graph input name.
        outputs: Graph output names of the nodes that were asked for, in order.
        written: Graph output name -> position of the argument that it is written to.
    """

    model: ir.Model
    inputs: dict[str, int]
    outputs: tuple[str, ...]
    written: dict[str, int]


def capture(
    graph_module: fx.GraphModule,
    args: Sequence[Any],
    paths: Sequence[str],
    roles: Roles,
    computed: Sequence[fx.Node],
) -> Captured:
    """Trace a captured graph.

    Args:
        graph_module: Not changed.
        args: Arguments of a call, as they were before it.
        paths: Their names; see `paths_of`.
        roles: What they are.
        computed: Nodes to return.

    Raises:
        TraceError: It cannot be traced.
    """
    nodes = placeholders(graph_module)
    module = _closed(graph_module, args, paths, roles, computed)
    inputs = tuple(args[position] for position in roles.tensors)
    free = {size for size, _ in roles.sizes.items()}
    shapes = tuple(_free_dims(nodes[position]) if free else None for position in roles.tensors)
    traced = trace(module, inputs, shapes if any(shapes) else None, check=False)
    signature: Signature = traced.meta[SIGNATURE_KEY]
    by_name = {
        leaf.name: position
        for leaf, position in zip(signature.inputs, roles.tensors, strict=True)
        if leaf.name is not None
    }
    outputs = [str(leaf.name) for leaf in signature.outputs]
    written = dict(zip(outputs[len(computed) :], roles.written, strict=True))
    return Captured(traced, by_name, tuple(outputs[: len(computed)]), written)


def paths_of(graph_module: fx.GraphModule) -> list[str]:
    """For each argument its path in the user's module, as `layer.0.weight`, or else its name in the graph.

    torch.compile notes where an argument comes from, and forgets it before the graph is called.
    """
    found = []
    for node in placeholders(graph_module):
        name = getattr(getattr(node.meta.get("grapharg"), "source", None), "name", "")
        parts = _PATH.findall(name() if callable(name) else str(name))
        found.append(".".join(one or other for one, other in parts) or _input_name(node))
    return found


def placeholders(graph_module: fx.GraphModule) -> list[fx.Node]:
    """The nodes that stand for the arguments, in order."""
    return [node for node in graph_module.graph.nodes if node.op == "placeholder"]


def _closed(
    graph_module: fx.GraphModule,
    args: Sequence[Any],
    paths: Sequence[str],
    roles: Roles,
    computed: Sequence[fx.Node],
) -> fx.GraphModule:
    """The graph as a module that has its weights, takes nothing but tensors and returns what is computed."""
    nodes = placeholders(graph_module)
    graph = fx.Graph()
    made: dict[fx.Node, Any] = {}
    attributes = {
        target: operator.attrgetter(target)(graph_module)
        for target in (str(n.target) for n in graph_module.graph.nodes if n.op in ("get_attr", "call_module"))
    }
    for position in roles.tensors:
        made[nodes[position]] = graph.placeholder(_identifier(paths[position]))
    for position in roles.written:
        made[nodes[position]] = graph.call_method("clone", (made[nodes[position]],))
    for position, (owner, dim) in roles.sizes.items():
        made[nodes[position]] = graph.call_function(torch.ops.aten.sym_size.int, (made[nodes[owner]], dim))
    for position in roles.weights:
        name = _unused(paths[position], attributes)
        attributes[name] = args[position]
        made[nodes[position]] = graph.get_attr(name)
    for position in roles.numbers:
        value = args[position]
        number = value.item() if isinstance(value, torch.Tensor) else value
        made[nodes[position]] = number
        for user in nodes[position].users:
            if isinstance(value, torch.Tensor):
                made[user] = number  # its users call item()
    for node in graph_module.graph.nodes:
        if node.op != "output" and node not in made:
            made[node] = graph.node_copy(node, lambda old: made[old])
            made[node].meta.pop("example_value", None)
            if node.op == "call_function" and node.target in SPELLED_OUT:
                made[node].target = SPELLED_OUT[node.target]
    # Of what is written to, a copy is, which is returned: the exporter drops writes that nothing else shows.
    graph.output(tuple(made[node] for node in (*computed, *(nodes[position] for position in roles.written))))
    return fx.GraphModule(attributes, graph)


def _is_weight(node: fx.Node, arg: torch.Tensor) -> bool:
    noted = (node.meta.get("tensor_dict") or {}).get("_dynamo_static_input_type")
    return noted is not None or isinstance(arg, torch.nn.Parameter)


def _is_number(node: fx.Node, arg: torch.Tensor) -> bool:
    """Whether a tensor is a Python float in disguise: the graph does nothing but read it back."""
    if arg.dim() or arg.dtype != torch.float64:
        return False
    return bool(node.users) and all(user.op == "call_method" and user.target == "item" for user in node.users)


def _sizes(node: fx.Node) -> Sequence[Any]:
    value = node.meta.get("example_value")
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def _is_free(size: Any) -> bool:
    """Whether a size may vary: one that was found to be fixed later on is still of the symbolic type."""
    return isinstance(size, torch.SymInt) and not str(size).isdigit()


def _free_dims(node: fx.Node) -> dict[int, Any] | None:
    """The dimensions of an input that may vary, by name; of a compound size only that it may."""
    found = {
        dim: f"size_{size}" if str(size).isidentifier() else torch.export.Dim.DYNAMIC
        for dim, size in enumerate(_sizes(node))
        if _is_free(size)
    }
    return found or None


def _input_name(node: fx.Node) -> str:
    """`x` for the argument that torch.compile calls `l_x_`."""
    found = re.fullmatch(r"[lL]_(\w+?)_?", node.name)
    return found[1] if found and found[1].isidentifier() else node.name


def _identifier(path: str) -> str:
    """A path as the name of an argument; those of a Sequential begin with a digit."""
    name = path.replace(".", "_")
    return name if name.isidentifier() else f"_{name}"


def _unused(path: str, taken: Iterable[str]) -> str:
    """The path, or a longer one where it is an attribute already or leads to or through one."""
    while any(
        other == path or other.startswith(f"{path}.") or path.startswith(f"{other}.") for other in taken
    ):
        path += "_"
    return path
