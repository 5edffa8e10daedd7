"""A graph as a sequence of steps over values of known sizes: what order, aliases and placement work on.

Sizes come from the shapes the caller binds; nothing is inferred, assumed or changed here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir import constant_tensor, graph_and_bodies, is_constant_node, is_deterministic, subgraphs

Shape = tuple[int, ...]
ShapeOf = Callable[[ir.Value], Shape | None]
"""The concrete shape of a value under one binding of its dimensions; None where it is not known."""

START = -1
"""The step that makes graph inputs: before the first."""

LARGEST_SIZE = (1 << 63) - 1
"""Most bytes of a value; offsets are 64-bit signed integers."""


@dataclasses.dataclass(frozen=True)
class Steps:
    """The nodes of one graph that run, and the values that take memory while they do.

    Constants stand apart: initializers, Constant nodes, and what deterministic nodes make of constants alone,
    which runtimes compute when they load. They are neither values nor steps. A step is known by its index in
    the graph's order, a value by its own index.

    Attributes:
        graph: Where they come from.
        nodes: Node of each step, in the graph's order.
        values: Graph inputs first, then outputs of the nodes.
        shapes: Shape of each value.
        sizes: Bytes of each value, at least 0, not rounded to any alignment.
        makers: Step that makes each value; `START` for a graph input.
        users: Steps that read each value, the bodies of their nodes included, ascending, each once.
        outputs: Indices of the values that are graph outputs, ascending.
        scratch: Bytes that each step needs for itself: what the bodies of its node take.
        constant_bytes: Bytes of the constants that steps read.
        index: Value -> its index.
    """

    graph: ir.Graph
    nodes: tuple[ir.Node, ...]
    values: tuple[ir.Value, ...]
    shapes: tuple[Shape, ...]
    sizes: tuple[int, ...]
    makers: tuple[int, ...]
    users: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    scratch: tuple[int, ...]
    constant_bytes: int
    index: Mapping[ir.Value, int]

    def before(self) -> list[tuple[int, ...]]:
        """For each step the steps whose values it reads, ascending."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for maker, users in zip(self.makers, self.users, strict=True):
            if maker != START:
                for user in users:
                    found[user].append(maker)
        return [tuple(sorted(set(steps))) for steps in found]

    def name(self, value: int) -> str:
        """The name of a value."""
        return self.values[value].name or f"value {value}"


def steps_of(
    graph: ir.Graph, shape: ShapeOf, scratch: Callable[[ir.Node, ir.Graph], int] = lambda node, body: 0
) -> Steps:
    """The steps of a graph, in the order its nodes stand in.

    Args:
        graph: A main graph or a body; it need not be sorted.
        shape: Shapes of its values.
        scratch: Bytes that a body of a node takes while the node runs; of several the largest counts.

    Raises:
        ModelError: A value has no known shape or type, a negative dimension, more than `LARGEST_SIZE` bytes,
            or depends on itself. The message names it.
    """
    constants = _constants(graph)
    nodes = [node for node in graph if not node.outputs or node.outputs[0] not in constants]
    step = {node: index for index, node in enumerate(nodes)}
    values = [value for value in graph.inputs if not value.is_initializer()]
    values += [value for node in nodes for value in node.outputs if value.name]
    index = {value: position for position, value in enumerate(values)}
    users: list[dict[int, None]] = [{} for _ in values]
    inner = []
    for position, node in enumerate(nodes):
        for value in read_values(node):
            if value in index:
                users[index[value]][position] = None
        inner.append(max((scratch(node, body) for body in subgraphs(node)), default=0))
    shapes = [_known(value, shape(value)) for value in values]
    made = Steps(
        graph,
        tuple(nodes),
        tuple(values),
        tuple(shapes),
        tuple(map(_bytes, values, shapes)),
        tuple(START if (maker := value.producer()) is None else step[maker] for value in values),
        tuple(tuple(each) for each in users),
        tuple(sorted({index[value] for value in graph.outputs if value in index})),
        tuple(inner),
        _constant_bytes(graph, nodes, constants, shape),
        index,
    )
    _refuse_cycle(made)
    return made


def read_values(node: ir.Node) -> Iterator[ir.Value]:
    """Values that a node or a body of it reads, those of its bodies' own included, with repetitions."""
    yield from (value for value in node.inputs if value is not None)
    for body in subgraphs(node):
        for graph in graph_and_bodies(body):
            for inner in graph:
                yield from (value for value in inner.inputs if value is not None)
            yield from graph.outputs


def _constants(graph: ir.Graph) -> frozenset[ir.Value]:
    """Initializers, defaults of inputs too, and all that is made of nothing else or of outer constants."""
    found = set(graph.initializers.values())
    for node in graph:
        if is_constant_node(node) or (
            node.inputs
            and all(value is None or value in found or _is_outer(value, graph) for value in node.inputs)
            and not subgraphs(node)
            and is_deterministic(node)
        ):
            found.update(node.outputs)
    return frozenset(found)


def _is_outer(value: ir.Value, graph: ir.Graph) -> bool:
    """Whether a value is a constant of a graph that this one is a body of."""
    maker = value.producer()
    if maker is None:
        return value.is_initializer() and not value.is_graph_input()
    return maker.graph is not graph and is_constant_node(maker)


def _known(value: ir.Value, shape: Shape | None) -> Shape:
    dtype = value.dtype
    is_tensor = value.type is None or isinstance(value.type, ir.TensorType)
    if not is_tensor or dtype is None or dtype in (ir.DataType.UNDEFINED, ir.DataType.STRING):
        raise ModelError(
            f"{value.name!r} is of type {value.type}, but only memory of tensors of numbers can be planned"
        )
    if shape is None:
        raise ModelError(
            f"the shape of {value.name!r} is not known, so its memory cannot be planned",
            hint="give the shapes of all inputs; sizes that data decide have no plan",
        )
    return shape


def _bytes(value: ir.Value, shape: Sequence[int]) -> int:
    """Bytes of a dense tensor, types of few bits packed."""
    assert value.dtype is not None
    if min(shape, default=0) < 0:
        raise ModelError(f"{value.name!r} has shape {list(shape)}, but no size can be negative")
    size = (math.prod(shape) * value.dtype.bitwidth + 7) // 8
    if size > LARGEST_SIZE:
        raise ModelError(
            f"{value.name!r} of shape {list(shape)} takes {size} bytes, expected at most {LARGEST_SIZE}"
        )
    return size


def _constant_bytes(
    graph: ir.Graph, nodes: Sequence[ir.Node], constants: frozenset[ir.Value], shape: ShapeOf
) -> int:
    """Bytes of the constants of a graph that its steps or outputs use, those of unknown size left out."""
    total = 0
    for value in {value: None for node in nodes for value in read_values(node)} | dict.fromkeys(
        graph.outputs
    ):
        if value in constants:
            tensor = constant_tensor(value)
            dims = shape(value) if tensor is None else tensor.shape.numpy()
            dtype = value.dtype if tensor is None else tensor.dtype
            if dims is not None and dtype is not None and dtype is not ir.DataType.STRING:
                total += (math.prod(dims) * dtype.bitwidth + 7) // 8
    return total


def _refuse_cycle(steps: Steps) -> None:
    before = steps.before()
    waiting = [len(each) for each in before]
    after: list[list[int]] = [[] for _ in before]
    for index, sources in enumerate(before):
        for source in sources:
            after[source].append(index)
    ready = [index for index, count in enumerate(waiting) if not count]
    for index in ready:  # it grows on the way
        for user in after[index]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(ready) == len(before):
        return
    stuck = next(index for index, count in enumerate(waiting) if count)
    seen: set[int] = set()
    while stuck not in seen:  # what keeps a stuck step waiting is stuck too, so this ends on a cycle
        seen.add(stuck)
        stuck = next(source for source in before[stuck] if waiting[source])
    value = next(value for value in steps.nodes[stuck].outputs if value in steps.index)
    raise ModelError(f"the value {value.name!r} depends on itself: the graph has a cycle")
