"""The order in which a runtime runs nodes that stand in some order in a file."""

from __future__ import annotations

from collections.abc import Sequence


def depth_first(before: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """The order that onnxruntime makes by default: back from the nodes that nobody reads.

    A node runs when all it reads has run; of what it reads, what stands last in the file comes first. (With
    `execution_order = PRIORITY_BASED` it runs nodes as they stand in the file instead.)

    Args:
        before: Steps that each step reads.
        order: The steps as they stand in the file.
    """
    place = [0] * len(order)
    for position, step in enumerate(order):
        place[step] = position
    read = {source for sources in before for source in sources}
    stack = [(step, False) for step in order if step not in read]
    seen: set[int] = set()
    made: list[int] = []
    while stack:
        step, is_left = stack.pop()
        if is_left:
            made.append(step)
        elif step not in seen:
            seen.add(step)
            stack.append((step, True))
            sources = sorted(before[step], key=place.__getitem__)
            stack.extend((source, False) for source in sources if source not in seen)
    return made
