"""The inputs of a generated model: those it was grown with, and others on which it runs as well.

Others may take it where no node was tried: onto other branches, and to values without elements. Where
onnxruntime would not survive, or answer with garbage, they are left out, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx

from graphopt.errors import ExecutionError
from graphopt.execute.support import DIES_OF_NOTHING
from graphopt.io.names import bodies, nested_nodes
from graphopt.testing.generate import arrays
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Content, Known
from graphopt.testing.generate.runtime import Evaluated, Loaded

Dims = list[int | str | None] | None
"""Sizes, names and unknown dimensions; None for what is no tensor."""


def found_feeds(
    b: Builder, proto: onnx.ModelProto, runnable: Loaded | Evaluated, dims: Mapping[str, Dims]
) -> list[dict[str, Content]]:
    """The inputs at hand, and others, also of other sizes, as far as the model runs on them.

    Raises:
        ExecutionError: It does not run on those at hand, or not twice alike.
    """
    present = {info.name for info in proto.graph.input}
    inputs = [known for known in b.inputs if known.name in present]
    feeds = [{known.name: known.content for known in inputs}]
    results = runnable.run(feeds[0])
    if not any(known.random for known in b.values) and not _same(results, runnable.run(feeds[0])):
        raise ExecutionError("two runs differ")
    if _has_branches_of_unlike_ranks(proto):
        return feeds
    defaults = [known for known in b.initializers if known.name in present and not known.constant]
    for resized in (False, True):
        feed = {known.name: _fresh(b, known, dims[known.name], resized) for known in inputs}
        for known in b.choices.some(defaults, 0.5):
            feed[known.name] = _fresh(b, known, list(known.shape), False)
        try:
            if _dies_of_nothing(proto, feed):
                continue
            runnable.run(feed)
            if resized and not _joins_fit(proto, feed):
                continue
        except ExecutionError:
            continue
        feeds.append(feed)
    return feeds


def _has_branches_of_unlike_ranks(proto: onnx.ModelProto) -> bool:
    """Whether an If gives values of one rank or another, for which nodes behind it were not made.

    onnxruntime ends the process in some operators that get another rank (Einsum, ReverseSequence, Scan).
    """
    branches = [list(bodies(node)) for node in _all_nodes(proto) if node.op_type == "If"]
    return any(
        len(one.type.tensor_type.shape.dim) != len(other.type.tensor_type.shape.dim)
        for then, otherwise in branches
        for one, other in zip(then.output, otherwise.output, strict=True)
    )


def _dies_of_nothing(proto: onnx.ModelProto, feed: Mapping[str, Content]) -> bool:
    """Whether what ends the process on operands without elements, or is undefined, gets one or may unseen."""
    if any(_may_die(node) for function in proto.functions for node in nested_nodes(function.node)):
        return True
    known = {tensor.name for tensor in proto.graph.initializer}
    for place, node in enumerate(proto.graph.node):
        if any(_may_die(inner) for body in bodies(node) for inner in nested_nodes(body.node)):
            return True
        if _may_die(node) and not all(_sizes_until(proto, place, set(node.input) - known - {""}, feed)):
            return True
    return False


def _sizes_until(
    proto: onnx.ModelProto, place: int, names: Iterable[str], feed: Mapping[str, Content]
) -> list[int]:
    """Numbers of elements of values that are there before a node runs."""
    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    del probe.graph.node[place:]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    made = Loaded(probe).run(feed) if probe.graph.output else {}
    return [content.size for content in made.values() if isinstance(content, np.ndarray)]


def _may_die(node: onnx.NodeProto) -> bool:
    return (node.op_type in DIES_OF_NOTHING or node.op_type == "ReduceMean") and not node.domain


def _all_nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from nested_nodes(proto.graph.node)
    for function in proto.functions:
        yield from nested_nodes(function.node)


def _joins_fit(proto: onnx.ModelProto, feed: Mapping[str, Content]) -> bool:
    """Whether what is joined differs in size along the axis alone.

    onnxruntime does not ask that of what is empty, and leaves what memory held in place of it.
    """
    joins = [node for node in proto.graph.node if node.op_type == "Concat"]
    if not joins:
        return True
    shapes = {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}
    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    del probe.graph.output[:]
    for name in sorted({name for node in joins for name in node.input} - set(shapes)):
        probe.graph.output.add(name=name)
    for name, content in Loaded(probe).run(feed).items() if probe.graph.output else ():
        shapes[name] = [] if content is None or isinstance(content, list) else list(content.shape)
    for node in joins:
        axis = next(attribute.i for attribute in node.attribute if attribute.name == "axis")
        sizes = {tuple(np.delete(shapes[name], axis)) for name in node.input}
        if len(sizes) > 1:
            return False
    return True


def _same(one: Mapping[str, Content], other: Mapping[str, Content]) -> bool:
    return all(_same_content(content, other[name]) for name, content in one.items())


def _same_content(one: Content, other: Content) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_content, one, other))
    if one is None or other is None or isinstance(one, list) or isinstance(other, list):
        return one is other
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind in "OUS":
        return bool(np.array_equal(one, other))
    return one.tobytes() == other.tobytes()


def _fresh(b: Builder, known: Known, dims: Dims, resized: bool) -> Content:
    if not known.is_tensor or dims is None:
        return known.content
    if known.dtype.is_integer() and not resized:
        return known.content  # it may be a shape or an index
    shape = list(known.shape)
    if resized:
        shape = [
            size if isinstance(dim, int) else b.choices.choose((2, 1, 3, 5))
            for dim, size in zip(dims, shape, strict=True)
        ]
        if known.dtype.is_integer() and shape == list(known.shape):
            return known.content
    return arrays.random_array(b.choices.numbers(), known.dtype, shape)
