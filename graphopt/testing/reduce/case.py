"""A model on its way to a smaller one, and what its values are on the inputs that belong to it.

Reductions edit a case in place. It says nothing about whether the edit is valid, and runs nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import graph_and_bodies, subgraphs
from graphopt.ir.edit import named_tensor

Feed = dict[str, Any]
Take = Callable[[], bool]
"""Asked once for each thing that a reduction could do, in an order that depends on the model alone."""


class ImpossibleError(Exception):
    """The edit leads to no model."""


@dataclasses.dataclass
class Case:
    """A model under reduction.

    Attributes:
        model: Shapes are inferred; it has no inputs in its `meta`.
        feeds: Sets of inputs that belong to the model, by name; empty where it has none.
        seen: What every value of the main graph was on each of `feeds`, by name.
    """

    model: ir.Model
    feeds: list[Feed]
    seen: list[Mapping[str, Any]]

    def clone(self) -> Case:
        """A copy to edit; tensors and arrays are shared."""
        return Case(self.model.clone(), [dict(feed) for feed in self.feeds], self.seen)

    def arrays(self, value: ir.Value) -> list[Any] | None:
        """What a value of the main graph was on each set of inputs; None where that is not known."""
        if not self.seen or not all(value.name in values for values in self.seen):
            return None
        return [values[value.name or ""] for values in self.seen]

    def add_input(self, like: ir.Value) -> ir.Value:
        """A new graph input in place of `like`, whose uses and name it takes over.

        Raises:
            ImpossibleError: Its type is not known.
        """
        if like.type is None or not like.name:
            raise ImpossibleError(f"the type of {like.name!r} is not known")
        arrays = self.arrays(like)
        value = ir.Value(name=like.name, type=like.type, shape=like.shape)
        if arrays is not None:
            value.shape = true_shape(like.shape, arrays)
            for feed, array in zip(self.feeds, arrays, strict=True):
                feed[like.name] = array
        like.name = None
        use_instead(like, value)
        self.model.graph.inputs.append(value)
        if arrays is None:
            self.make_up(value)
        return value

    def make_up(self, value: ir.Value) -> None:
        """Give a new graph input arrays in each set of inputs, where its type allows."""
        for feed in self.feeds:
            array = random_array(value.type, value.shape)
            if array is not None:
                feed[value.name or ""] = array

    def rename(self, value: ir.Value, name: str) -> None:
        """Give a value another name, everywhere; tensors, which clones share, keep theirs."""
        old, tensor = value.name or "", value.const_value
        value.const_value = None
        value.name = name
        if tensor is not None:
            value.const_value = named_tensor(tensor, name) if value.is_initializer() else tensor
        if value.is_graph_input():
            for feed in self.feeds:
                if old in feed:
                    feed[name] = feed.pop(old)


def random_array(type_: ir.TypeProtocol | None, shape: ir.Shape | None) -> np.ndarray[Any, Any] | None:
    """Small numbers of a tensor's type and shape, dimensions without a number being 2; None for other types.

    The same for the same type and shape.
    """
    if not isinstance(type_, ir.TensorType) or shape is None:
        return None
    sizes = [dim if isinstance(dim, int) else 2 for dim in shape.dims]
    random = np.random.default_rng(0)
    dtype = type_.dtype
    if dtype == ir.DataType.STRING:
        return random.integers(0, 3, sizes).astype(str).astype(object)
    if dtype.is_integer() or dtype == ir.DataType.BOOL:
        return random.integers(0, 2, sizes).astype(dtype.numpy())
    return random.standard_normal(sizes).astype(dtype.numpy())


def use_instead(old: ir.Value, new: ir.Value, *, once: bool = True) -> None:
    """Let whoever uses `old` use `new`, graph outputs included.

    Args:
        old: A value.
        new: Another one, available wherever `old` is.
        once: An output that is there already is not repeated; of bodies, whose outputs are told apart by
            their places, it is.
    """
    if old.is_graph_output():
        graph = old.graph
        assert graph is not None
        outputs = [new if output is old else output for output in graph.outputs]
        graph.outputs[:] = list(dict.fromkeys(outputs)) if once else outputs
    old.replace_all_uses_with(new)


def top_nodes(graph: ir.Graph) -> dict[ir.Graph, ir.Node]:
    """For each body at any depth the node of `graph` that it stands in."""
    return {inner: node for node in graph for body in subgraphs(node) for inner in graph_and_bodies(body)}


def true_shape(claimed: ir.Shape | None, arrays: Sequence[Any]) -> ir.Shape | None:
    """`claimed` where the arrays agree with it, else their own sizes; dimensions they differ in stay open."""
    shapes = [array.shape for array in arrays if isinstance(array, np.ndarray)]
    if len(shapes) < len(arrays) or not shapes:
        return claimed  # a sequence or an absent optional, or not seen
    if claimed is not None and all(_fits(claimed, shape) for shape in shapes):
        return claimed
    if len({len(shape) for shape in shapes}) > 1:
        return None
    sizes = list(zip(*shapes, strict=True))
    return ir.Shape([size[0] if len(set(size)) == 1 else None for size in sizes])


def true_type(arrays: Sequence[Any]) -> ir.TypeProtocol | None:
    """The type of tensors of which these are some; None if they are none, or not all of one type."""
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays):
        return None
    if any(array.dtype.kind in "OUS" for array in arrays):
        return ir.TensorType(ir.DataType.STRING)
    dtypes = {ir.DataType.from_numpy(array.dtype) for array in arrays}
    return ir.TensorType(dtypes.pop()) if len(dtypes) == 1 else None


def _fits(claimed: ir.Shape, shape: tuple[int, ...]) -> bool:
    return len(claimed) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(claimed.dims, shape, strict=True)
    )
