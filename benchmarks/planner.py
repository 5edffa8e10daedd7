"""Memory placement: MiniMalloc's instances at their capacity and at their bound, and large instances.

    python benchmarks/planner.py FOLDER [--seconds S] [--large N ...]

FOLDER holds CSV files named NAME.CAPACITY.csv. Everything runs in one thread; each plan has passed the
checker, which shares nothing with what made it. Seconds are those of the clock, then of the processor.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from planner_instances import KINDS

from graphopt.memory.buffers import Id, Instance, read_instance
from graphopt.memory.check import check_placement
from graphopt.memory.placement import place
from graphopt.memory.plan import Plan

LARGE = (20_000, 60_000)
LARGE_SECONDS_PER_BUFFER = 2.0 / 20_000


def timed(instance: Instance[Id], seconds: float, capacity: int | None = None) -> tuple[Plan[Id], float]:
    """A checked plan and the processor seconds it took."""
    started = time.process_time()
    plan = place(instance, time_limit=seconds, capacity=capacity)
    used = time.process_time() - started
    check_placement(instance.buffers, plan.offsets, plan.arena, plan.lower_bound)
    return plan, used


def minimalloc(folder: Path, seconds: float) -> None:
    """A row for each instance: best greedy, time to fit the capacity, the arena in the time limit."""
    print(
        f"{'':12} {'buffers':>8} {'bound':>9} {'greedy':>7}  {'fits in':>14}  {'arena':>9} {'/ bound':>8}  in"
    )
    for path in sorted(folder.glob("*.csv")):
        name, capacity = path.name.split(".")[:2]
        instance = read_instance(path)
        fitted, used = timed(instance, seconds, int(capacity))
        fits = f"{fitted.seconds:.2f} ({used:.2f}) s" if fitted.arena <= int(capacity) else "not found"
        plan, used = timed(instance, seconds)
        bound = max(plan.lower_bound, 1)
        print(
            f"{name:12} {len(instance.buffers):8} {bound:9} {plan.greedy / bound:7.3f}  {fits:>14}  "
            f"{plan.arena:9} {plan.arena / bound:8.4f}  {plan.seconds:.2f} ({used:.2f}) s"
        )


def large(counts: Sequence[int]) -> None:
    """A row for each kind and count of generated buffers."""
    for kind, make in KINDS.items():
        for count in counts:
            plan, used = timed(make(count, 0), count * LARGE_SECONDS_PER_BUFFER)
            bound = max(plan.lower_bound, 1)
            print(
                f"{kind:12} {count:8} buffers  greedy {plan.greedy / bound:.4f}  "
                f"arena {plan.arena / bound:.4f} of the bound in {plan.seconds:.2f} ({used:.2f}) s"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="MiniMalloc's instances")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of each")
    parser.add_argument(
        "--large", type=int, nargs="*", default=list(LARGE), help="counts of generated buffers"
    )
    given = parser.parse_args(arguments)
    if given.folder is not None:
        minimalloc(given.folder, given.seconds)
    large(given.large)
    return 0


if __name__ == "__main__":
    sys.exit(main())
