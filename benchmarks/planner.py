"""Memory placement: MiniMalloc's instances at their capacity and at their bound, peers, and large instances.

    python benchmarks/planner.py [FOLDER] [--tool TOOL ...] [--seconds S] [--large N ...]

FOLDER holds CSV files named NAME.CAPACITY.csv. Everything runs in one thread; each plan has passed the
checker, which shares nothing with what made it. What is measured is kept in `results/planner.json`, and the
README's table is written of it; with other limits or counts than the usual ones it is only printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner_instances import KINDS
from planner_peers import peers, version
from readme import write_table

from graphopt.memory.buffers import Id, Instance, read_instance
from graphopt.memory.check import check_placement
from graphopt.memory.placement import place
from graphopt.memory.plan import Plan

RESULTS = Path(__file__).resolve().parent / "results" / "planner.json"
TOOLS = ("graphopt", "peers", "large")
SECONDS, LONG_SECONDS = 5.0, 20.0
LARGE = (20_000, 60_000)
LARGE_SECONDS_PER_BUFFER = 2.0 / 20_000
SEEDS = 3
"""Of each kind of large instance."""

MINIMALLOC_SECONDS = "0.7 to 6.4"
"""To fit the capacity, as its paper has it (Moffitt, ASPLOS 2023)."""

Row = dict[str, Any]


def timed(instance: Instance[Id], seconds: float, capacity: int | None = None) -> Plan[Id]:
    """A checked plan."""
    plan = place(instance, time_limit=seconds, capacity=capacity)
    check_placement(instance.buffers, plan.offsets, plan.arena, plan.lower_bound)
    return plan


def ours(instance: Instance[str], capacity: int, seconds: float) -> Row:
    """Seconds to fit the capacity, and the arena in some time; in more of it if not proved optimal."""
    fitted, plan = timed(instance, seconds, capacity), timed(instance, seconds)
    row: Row = {
        "buffers": len(instance.buffers),
        "bound": plan.lower_bound,
        "greedy": plan.greedy,
        "fits in": fitted.seconds if fitted.arena <= capacity else None,
        "arena": plan.arena,
        "seconds": plan.seconds,
    }
    if not plan.optimal:
        longer = timed(instance, LONG_SECONDS)
        row |= {"longer arena": longer.arena, "longer seconds": longer.seconds}
    return row


def large(counts: Sequence[int]) -> dict[str, Row]:
    """The worst of some generated instances, by kind and count."""
    rows = {}
    for kind, make in KINDS.items():
        for count in counts:
            plans = [timed(make(count, seed), count * LARGE_SECONDS_PER_BUFFER) for seed in range(SEEDS)]
            rows[f"{kind}, {count}"] = {
                "arena": max(plan.arena / plan.lower_bound for plan in plans),
                "greedy": max(plan.greedy / plan.lower_bound for plan in plans),
                "seconds": max(plan.seconds for plan in plans),
            }
            print(kind, count, rows[f"{kind}, {count}"], flush=True)
    return rows


def measure(
    folder: Path | None, tools: Sequence[str], seconds: float, counts: Sequence[int]
) -> dict[str, Any]:
    """Results by tool, then by instance."""
    found: dict[str, Any] = {tool: {} for tool in tools}
    for path in sorted(folder.glob("*.csv")) if folder else ():
        name, capacity = path.name.split(".")[:2]
        instance = read_instance(path)
        if "graphopt" in tools:
            found["graphopt"][name] = ours(instance, int(capacity), seconds)
            print(name, found["graphopt"][name], flush=True)
        for peer, planner in peers(seconds) if "peers" in tools else ():
            started = time.perf_counter()
            row = {"arena": planner(instance), "seconds": time.perf_counter() - started}
            found["peers"].setdefault(name, {})[peer] = row
            print(name, peer, row, flush=True)
    if "large" in tools:
        found["large"] = large(counts)
    if "peers" in tools:
        found["version"] = version()
    return found


def render(results: Mapping[str, Any]) -> str:
    """The tables, in Markdown."""
    rows = [
        f"MiniMalloc's instances: seconds to fit their capacity of 1 MiB (MiniMalloc: {MINIMALLOC_SECONDS}),",
        f"and arenas as multiples of the bound, {SECONDS:g} seconds each on one core at most:",
        "",
        "| instance | buffers | bound | fits in, s | graphopt | s | by size | omnimalloc | supermalloc |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    notes = []
    for name, row in results["graphopt"].items():
        bound, others = row["bound"], results["peers"].get(name, {})
        cells = [
            f"{others[peer]['arena'] / bound:.3f}" if peer in others else "–"
            for peer in ("omni", "supermalloc")
        ]
        fits = "–" if row["fits in"] is None else f"{row['fits in']:.3f}"
        rows.append(
            f"| {name} | {row['buffers']} | {bound} | {fits} | {row['arena'] / bound:.4f} "
            f"| {row['seconds']:.2f} | {row['greedy'] / bound:.3f} | {' | '.join(cells)} |"
        )
        if "longer arena" in row:
            notes.append(f"{name}: {row['longer arena'] / bound:.4f} in {row['longer seconds']:.1f} s.")
    rows += ["", *notes, ""] if notes else [""]
    rows += [
        f"Generated instances, the worst of {SEEDS} each; limits are 2 s for 20,000 buffers, 6 s for 60,000:",
        "",
        "| kind, buffers | best greedy | arena / bound | s |",
        "|---|--:|--:|--:|",
    ]
    for name, row in results["large"].items():
        rows.append(f"| {name} | {row['greedy']:.4f} | {row['arena']:.4f} | {row['seconds']:.2f} |")
    stated = f" with omnimalloc {results['version']}" if results.get("version") else ""
    return "\n".join([*rows, "", f"Measured{stated} by `python benchmarks/planner.py`."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; keep it and write the table if nothing unusual was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="MiniMalloc's instances")
    parser.add_argument("--tool", action="append", choices=TOOLS, help="measure only this")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time limit of each")
    parser.add_argument(
        "--large", type=int, nargs="*", default=list(LARGE), help="counts of generated buffers"
    )
    given = parser.parse_args(arguments)
    found = measure(given.folder, given.tool or TOOLS, given.seconds, given.large)
    if given.folder is None or given.seconds != SECONDS or tuple(given.large) != LARGE:
        return 0
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results |= found
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if all(tool in results for tool in TOOLS):
        write_table("planner", render(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
