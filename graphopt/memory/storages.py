"""Values that share memory, joined into storages: pieces of memory that live and are placed as one.

Within a storage each byte is written once (overlaps apart, which are safe by their distance), so that all of
its values can be alive at a time. Taking over a dead storage is decided with the order, in `order`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import onnx_ir as ir

from graphopt.memory.aliases import Kind, Link, in_place
from graphopt.memory.liveness import ALIGNMENT, FREE, Pins, rounded
from graphopt.memory.steps import START, Steps


@dataclasses.dataclass(frozen=True)
class Storages:
    """A graph's values in their storages.

    Attributes:
        steps: The graph.
        pins: What keeps its memory for the whole run.
        alignment: Of the start of each storage, in bytes.
        home: Storage of each value.
        offset: Bytes from the start of its storage to each value.
        sizes: Bytes of each storage, rounded to the alignment.
        members: Values of each storage, ascending.
        joined: The links that were followed.
        taken_over: For each step (storage it is the first to write, storages whose memory that may take over
            if they die there), or None.
    """

    steps: Steps
    pins: Pins
    alignment: int
    home: tuple[int, ...]
    offset: tuple[int, ...]
    sizes: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    joined: tuple[Link, ...]
    taken_over: tuple[tuple[int, tuple[int, ...]] | None, ...]

    def is_pinned(self, storage: int) -> bool:
        """Whether a storage keeps its memory for the whole run."""
        return any(_is_pinned(self.steps, self.pins, value) for value in self.members[storage])


def join(
    steps: Steps,
    links: Sequence[Link],
    *,
    pins: Pins = FREE,
    alignment: int = ALIGNMENT,
    without: Collection[Link] = (),
    take_over: bool = True,
) -> Storages:
    """Join values along links, in their order, as long as no byte would be two values' at once.

    Args:
        steps: The graph.
        links: See `aliases.links`.
        pins: What keeps its memory for the whole run.
        alignment: Of storages, in bytes.
        without: Links not to follow.
        take_over: Let elementwise nodes write over operands that die.
    """
    union = _Union(steps.sizes)
    skipped = frozenset(without)
    joined = tuple(link for link in links if link not in skipped and union.join(link))
    roots = sorted({union.root(value)[0] for value in range(len(steps.values))})
    number = {root: index for index, root in enumerate(roots)}
    home, offset = [], []
    for value in range(len(steps.values)):
        root, distance = union.root(value)
        home.append(number[root])
        offset.append(distance - union.begin[root])
    members: list[list[int]] = [[] for _ in roots]
    for value, storage in enumerate(home):
        members[storage].append(value)
    sizes = tuple(rounded(union.end[root] - union.begin[root], alignment) for root in roots)
    made = Storages(
        steps,
        pins,
        alignment,
        tuple(home),
        tuple(offset),
        sizes,
        tuple(map(tuple, members)),
        joined,
        (None,) * len(steps.nodes),
    )
    return dataclasses.replace(made, taken_over=_taken_over(made)) if take_over else made


class _Union:
    """Union-find over values with a distance to the root; `begin` and `end` bound the bytes of each root."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._parent = list(range(len(sizes)))
        self._distance = [0] * len(sizes)
        self._shared: set[int] = set()
        self.begin = [0] * len(sizes)
        self.end = list(sizes)

    def root(self, value: int) -> tuple[int, int]:
        """Root of a value, and the bytes from its start to the value's."""
        path = []
        while self._parent[value] != value:
            path.append(value)
            value = self._parent[value]
        distance = 0
        for each in reversed(path):
            distance += self._distance[each]
            self._parent[each], self._distance[each] = value, distance
        return value, distance

    def join(self, link: Link) -> bool:
        """Follow a link if that is safe; whether the two values share memory by it now."""
        whole, at = self.root(link.whole)
        part, within = self.root(link.part)
        shift = at + link.offset - within  # from the root of `whole` to that of `part`
        if whole == part:
            return shift == 0
        if link.kind is Kind.OVERLAP:
            if link.whole in self._shared or link.part in self._shared:
                return False
        elif not self._is_one_content(link, whole, part, shift, at + link.offset):
            return False
        self._parent[part], self._distance[part] = whole, shift
        self.begin[whole] = min(self.begin[whole], shift + self.begin[part])
        self.end[whole] = max(self.end[whole], shift + self.end[part])
        self._shared.update((link.whole, link.part))
        return True

    def _is_one_content(self, link: Link, whole: int, part: int, shift: int, low: int) -> bool:
        """Whether the bytes that two sets would have in common are those of the part alone.

        Anything else there would be two values' at once.
        """
        first = max(self.begin[whole], shift + self.begin[part])
        last = min(self.end[whole], shift + self.end[part])
        return first >= last or (low <= first and last <= low + self._sizes[link.part])


def _taken_over(storages: Storages) -> tuple[tuple[int, tuple[int, ...]] | None, ...]:
    steps, home = storages.steps, storages.home
    overlapping = {home[link.whole] for link in storages.joined if link.kind is Kind.OVERLAP}
    found: list[tuple[int, tuple[int, ...]] | None] = []
    for step, node in enumerate(steps.nodes):
        found.append(None)
        operands = in_place(steps, step)
        if not operands:
            continue
        output = steps.index[node.outputs[0]]
        target = home[output]
        if target in overlapping or not _fills(storages, output):
            continue
        sources = [
            home[operand]
            for operand in operands
            if home[operand] not in overlapping
            and home[operand] != target
            and _fills(storages, operand)
            and not storages.is_pinned(home[operand])
            and _reads_in_step(storages, node, operand)
        ]
        if sources and not storages.is_pinned(target):
            found[step] = (target, tuple(sources))
    return tuple(found)


def _fills(storages: Storages, value: int) -> bool:
    """Whether a value begins its storage and leaves no room in it for another."""
    size = rounded(storages.steps.sizes[value], storages.alignment)
    return size > 0 and storages.offset[value] == 0 and size == storages.sizes[storages.home[value]]


def _reads_in_step(storages: Storages, node: ir.Node, operand: int) -> bool:
    """Whether all that a node reads of a storage lies, element by element, as the operand does."""
    steps = storages.steps
    others = (steps.index[value] for value in node.inputs if value is not None and value in steps.index)
    return all(
        storages.offset[other] == 0 and steps.sizes[other] == steps.sizes[operand]
        for other in others
        if storages.home[other] == storages.home[operand]
    )


def _is_pinned(steps: Steps, pins: Pins, value: int) -> bool:
    is_input = steps.makers[value] == START
    return (pins.inputs and is_input) or (pins.outputs and value in steps.outputs)
