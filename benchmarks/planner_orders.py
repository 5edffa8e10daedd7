"""What ordering is worth by kind of network, and compared with which order: peaks of many made networks.

    python benchmarks/planner_orders.py [--seeds N]

Compared are the order that a network's own code computes nodes in, which exporters write; the breadth-first
one, in which graph tools sort; and the one that onnxruntime makes by default. Nothing but the order differs.
The README's table is written for the usual number of networks.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
import wired_networks
from memory import geometric_mean
from readme import write_table
from wired_networks import Builder, Edges

from graphopt.io import load
from graphopt.memory.order import Problem
from graphopt.memory.order.runtimes import depth_first
from graphopt.report.memory import plan_memory

Wire = Callable[[np.random.Generator, int], Edges]

CHANNELS, SIDE = 24, 28
SEEDS = 4


class Cell(NamedTuple):
    """A cell as papers print it: operator and input, two a block, and the values joined at the end."""

    operators: tuple[tuple[str, int], ...]
    joined: tuple[int, ...]


CELLS = {
    "DARTS": Cell(
        (
            *(("separable 3", 0), ("separable 3", 1), ("separable 3", 0), ("separable 3", 1)),
            *(("separable 3", 1), ("skip", 0), ("skip", 0), ("dilated 3", 2)),
        ),
        (2, 3, 4, 5),
    ),
    "NASNet-A": Cell(
        (
            *(("separable 5", 1), ("separable 3", 0), ("separable 5", 0), ("separable 3", 0)),
            *(("average pool", 1), ("skip", 0), ("average pool", 0), ("average pool", 0)),
            *(("separable 3", 1), ("skip", 1)),
        ),
        (2, 3, 4, 5, 6),
    ),
    "AmoebaNet-A": Cell(
        (
            *(("average pool", 0), ("max pool", 1), ("separable 3", 0), ("separable 5", 2)),
            *(("separable 3", 0), ("average pool", 3), ("separable 3", 1), ("skip", 1)),
            *(("skip", 0), ("average pool", 1)),
        ),
        (4, 5, 6),
    ),
}
"""Normal cells, as in the genotypes that DARTS' authors publish (Liu et al., 2019)."""


def random_cell(rng: np.random.Generator, blocks: int) -> Cell:
    """A cell with operators and inputs by chance; blocks that nobody reads are joined."""
    chosen = [
        (str(rng.choice(wired_networks.CELL_OPERATORS)), int(rng.integers(0, 2 + block)))
        for block in range(blocks)
        for _ in range(2)
    ]
    read = {source for _, source in chosen}
    return Cell(tuple(chosen), tuple(value for value in range(2, 2 + blocks) if value not in read))


def cells(made: Builder, cell_of: Sequence[Cell]) -> onnx.ModelProto:
    """Cells one after another, each reading the two before it, computed block by block as modules do."""
    before = now = made.conv("image", 3, CHANNELS, 3)
    width = wide = CHANNELS
    for cell in cell_of:
        values = [made.conv(before, wide, CHANNELS, 1), made.conv(now, width, CHANNELS, 1)]
        for first, second in zip(cell.operators[::2], cell.operators[1::2], strict=True):
            pair = [_operator(made, name, values[source]) for name, source in (first, second)]
            values.append(made.op("Add", pair))
        before, wide = now, width
        joined = [values[index] for index in cell.joined]
        now = made.op("Concat", joined, axis=1) if len(joined) > 1 else joined[0]
        width = CHANNELS * len(joined)
    return made.model(now, 3, SIDE)


def _operator(made: Builder, name: str, x: str) -> str:
    match name.split():
        case ["separable", kernel]:
            return made.separable(made.separable(x, CHANNELS, int(kernel)), CHANNELS, int(kernel))
        case ["dilated", kernel]:
            return made.separable(x, CHANNELS, int(kernel))
        case ["convolution", kernel]:
            return made.conv(made.op("Relu", [x]), CHANNELS, CHANNELS, int(kernel))
        case ["skip"]:
            return x
    pool = "MaxPool" if name.startswith("max") else "AveragePool"
    return made.op(pool, [x], kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])


def networks(seeds: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Kind and model of each network."""
    wires: dict[str, Wire] = {
        "Watts-Strogatz": wired_networks.watts_strogatz,
        "Erdos-Renyi": wired_networks.erdos_renyi,
        "Barabasi-Albert": wired_networks.barabasi_albert,
    }
    for seed in range(seeds):
        for name, wire in wires.items():
            yield name, wired_networks.random_stage(wire, seed)
        for blocks in (5, 8):
            yield "random cells, input by input", wired_networks.random_cells(seed, blocks=blocks)
            rng = np.random.default_rng(seed)
            cell_of = [random_cell(rng, blocks) for _ in range(3)]
            yield "random cells, block by block", cells(Builder(rng), cell_of)
    for name, cell in CELLS.items():
        yield f"{name}, three cells", cells(Builder(np.random.default_rng(0)), [cell] * 3)


def breadth_first(before: Sequence[Sequence[int]]) -> list[int]:
    """What is ready first runs first."""
    waiting = [len(sources) for sources in before]
    after: list[list[int]] = [[] for _ in before]
    for step, sources in enumerate(before):
        for source in sources:
            after[source].append(step)
    order = [step for step, count in enumerate(waiting) if not count]
    for step in order:
        for user in after[step]:
            waiting[user] -= 1
            if not waiting[user]:
                order.append(user)
    return order


class Ratios(NamedTuple):
    """The planned peak as a share of those of other orders, and whether it is proved that none is lower."""

    written: float
    breadth_first: float
    onnxruntime: float
    is_best: bool


def measured(proto: onnx.ModelProto) -> Ratios:
    """Plan a network and compare orders, all else equal."""
    plan = plan_memory(load(proto), source="").plan
    problem = Problem.of(plan.storages)
    steps = range(len(problem.before))
    return Ratios(
        plan.peak / plan.peak_of(steps),
        plan.peak / plan.peak_of(breadth_first(problem.before)),
        plan.peak / plan.peak_of(depth_first(problem.before, steps)),
        plan.is_best_order,
    )


def render(found: Mapping[str, Sequence[Ratios]]) -> str:
    """Geometric means for each kind and for all, in Markdown."""
    everything = [each for rows in found.values() for each in rows]
    lines = [
        "The peak of the planned order as a share of that of others, in geometric mean:",
        "",
        "| networks | as written | breadth-first | onnxruntime's own | proved best |",
        "|---|--:|--:|--:|--:|",
    ]
    for kind, rows in [*found.items(), ("all", everything)]:
        means = [
            geometric_mean([row.written for row in rows]),
            geometric_mean([row.breadth_first for row in rows]),
            geometric_mean([row.onnxruntime for row in rows]),
        ]
        proved = f"{sum(row.is_best for row in rows)} of {len(rows)}"
        lines.append(f"| {kind} | {' | '.join(f'{mean:.2f}' for mean in means)} | {proved} |")
    return "\n".join([*lines, "", "Measured by `python benchmarks/planner_orders.py`."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if an order was made worse than the written one."""
    parser = argparse.ArgumentParser(description="What ordering is worth, by kind of network.")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args(arguments).seeds
    found: dict[str, list[Ratios]] = defaultdict(list)
    for kind, proto in networks(seeds):
        found[kind].append(measured(proto))
    text = render(found)
    print(text)
    if seeds == SEEDS:
        write_table("orders", text)
    return int(any(row.written > 1 for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
