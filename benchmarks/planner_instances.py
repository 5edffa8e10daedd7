"""Instances of memory placement made from a seed: large ones as networks give them, and hard random ones.

Only makes them: `planner.py` plans and times them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from graphopt.memory.buffers import Buffer, Instance

KIBIBYTE = 1024


def network(count: int, seed: int = 0) -> Instance[str]:
    """Activations of a deep network: most die within a few steps, residuals and skip connections live on.

    Sizes shrink from stage to stage as resolutions do, times channels that grow; each step may need scratch.
    """
    generator = random.Random(seed)
    buffers: list[Buffer[str]] = []
    step, stages = 0, 5
    while len(buffers) < count:
        stage = min(stages * len(buffers) // count, stages - 1)
        base = 512 * KIBIBYTE >> stage
        size = base * generator.choice((1, 1, 1, 2, 3, 4)) // generator.choice((1, 1, 2, 3))
        size += generator.choice((0, 0, 64, 192, 4096))
        span = generator.choices((1, 2, 3, 8, 40, 400), weights=(40, 30, 15, 10, 4, 1))[0]
        buffers.append(Buffer(f"activation{step}", step, step + 1 + span, size))
        if generator.random() < 0.2 and len(buffers) < count:
            buffers.append(Buffer(f"scratch{step}", step, step + 1, generator.randrange(1, base)))
        step += 1
    return Instance(tuple(buffers))


def uniform(count: int, seed: int = 0) -> Instance[str]:
    """Live ranges and sizes without any structure: about fifty buffers live together."""
    generator = random.Random(seed)
    buffers = []
    for index in range(count):
        lower = generator.randrange(count)
        size = generator.randrange(1, 4096) * KIBIBYTE
        buffers.append(Buffer(f"buffer{index}", lower, lower + generator.randrange(1, 100), size))
    return Instance(tuple(buffers))


def deep(count: int, seed: int = 0) -> Instance[str]:
    """As `uniform`, with live ranges of any length: a third of all buffers live together."""
    generator = random.Random(seed)
    buffers = []
    for index in range(count):
        lower, upper = sorted(generator.sample(range(2 * count), 2))
        buffers.append(Buffer(f"buffer{index}", lower, upper, generator.randrange(1, 4096) * KIBIBYTE))
    return Instance(tuple(buffers))


def tiled(count: int, seed: int = 0) -> Instance[str]:
    """An arena cut into rectangles at random, so that the bound can be reached, but only without any gap."""
    generator = random.Random(seed)
    pieces = [(0, 1_000 * count, 0, 1_000_000)]
    while len(pieces) < count:
        index = max(
            generator.sample(range(len(pieces)), min(4, len(pieces))), key=lambda each: _area(pieces[each])
        )
        lower, upper, bottom, top = pieces[index]
        if generator.random() < 0.5 and upper - lower > 1:
            cut = generator.randrange(lower + 1, upper)
            pieces[index] = (lower, cut, bottom, top)
            pieces.append((cut, upper, bottom, top))
        elif top - bottom > 1:
            cut = generator.randrange(bottom + 1, top)
            pieces[index] = (lower, upper, bottom, cut)
            pieces.append((lower, upper, cut, top))
    generator.shuffle(pieces)
    return Instance(
        tuple(
            Buffer(f"piece{index}", lower, upper, top - bottom)
            for index, (lower, upper, bottom, top) in enumerate(pieces)
        )
    )


def _area(piece: tuple[int, int, int, int]) -> int:
    lower, upper, bottom, top = piece
    return (upper - lower) * (top - bottom)


KINDS: dict[str, Callable[[int, int], Instance[str]]] = {
    "network": network,
    "uniform": uniform,
    "deep": deep,
    "tiled": tiled,
}
