"""Names as messages and repairs need them: how a node is called, and names that nothing else has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import onnx

from graphopt.errors import ModelError


class FreshNames:
    """Hands out names that are not taken.

    Args:
        taken: Lists the names in use; asked once, when the first new name is needed.
    """

    def __init__(self, taken: Callable[[], Iterable[str]]) -> None:
        self._list_taken = taken
        self._taken: set[str] | None = None
        self._next: dict[str, int] = {}

    def like(self, base: str) -> str:
        """`base` with the smallest number behind it that makes it new."""
        if self._taken is None:
            self._taken = set(self._list_taken())
        number = self._next.get(base, 1)
        while (name := f"{base}_{number}") in self._taken:
            number += 1
        self._next[base] = number + 1
        self._taken.add(name)
        return name


def check_text(text: str, what: str) -> None:
    """Check that protobuf could decode a name; it leaves one that is not UTF-8 as bytes.

    Raises:
        ModelError: It could not.
    """
    if not isinstance(text, str):
        raise ModelError(f"{what} is not UTF-8 text: {text!r}", hint="the file may be damaged")


def told(node: onnx.NodeProto) -> str:
    """How messages call a node: its operator and its name, or its first output where it has none."""
    if node.name:
        return f"{node.op_type} {node.name!r}"
    return f"{node.op_type} of {next(iter(node.output), '')!r}"


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nested_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """`nodes` and the nodes in their bodies at every depth."""
    stack = [iter(nodes)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            continue
        yield node
        stack.extend(iter(body.node) for body in bodies(node))


def value_names(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Every value name that `nodes` and their bodies read or define."""
    for node in nested_nodes(nodes):
        yield from node.input
        yield from node.output
        for body in bodies(node):
            yield from (item.name for item in (*body.input, *body.output, *body.initializer))


def listed(names: Iterable[str], shown: int = 4) -> str:
    """The first few of `names` and how many follow."""
    every = list(names)
    text = ", ".join(repr(name) for name in every[:shown])
    return text if len(every) <= shown else f"{text} and {len(every) - shown} more"
