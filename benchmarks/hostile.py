"""Hostile files against the optimizer: families of malformed models, and mutants of valid ones without end.

    python benchmarks/hostile.py [--count N] [--first K] [--seed S] [--corpus DIR] [--families A,B]

Each file is loaded, verified and optimized in a process of its own under limits of 10 s and 1 GB. Prints
how many came to which end, and saves the files that came to a bad one; exits 1 if there were any. File K of a
seed is always the same.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from graphopt.testing.hostile import ANY_END, FAMILIES, FILE_NAME, Case, Fuzzer, Kind, Runner
from graphopt.testing.hostile.seeds import all_seeds, folder_seeds

EVERY = 4
"""One mutant in so many is optimized at -O1 too."""


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    failures = 0
    with Runner() as runner:
        for title, cases in _suites(options):
            outcomes: Counter[Kind] = Counter()
            left_out = 0
            slowest, largest = 0.0, 0
            started = time.perf_counter()
            for index, case in enumerate(cases):
                outcome = runner.try_file(case.write, (1, 2) if index % EVERY == 0 else (2,))
                outcomes[outcome.kind] += 1
                left_out += bool(outcome.left_out)
                slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.peak_bytes)
                if not case.allows(outcome):
                    failures += 1
                    print(f"  {case.name}: {outcome}", flush=True)
                    _save(case, options.save, title)
            _report(title, outcomes, left_out, slowest, largest, time.perf_counter() - started)
    return 1 if failures else 0


def _suites(options: argparse.Namespace) -> Iterator[tuple[str, Iterator[Case]]]:
    names = (
        list(FAMILIES)
        if options.families == "all"
        else [each for each in options.families.split(",") if each]
    )
    for name in names:
        yield name, FAMILIES[name]()
    if options.count:
        models = dict(all_seeds())
        if options.corpus is not None:
            models.update(folder_seeds(options.corpus))
        fuzzer = Fuzzer(models, options.seed)
        yield f"mutants of {len(models)} models, seed {options.seed}", _mutants(fuzzer, options)


def _mutants(fuzzer: Fuzzer, options: argparse.Namespace) -> Iterator[Case]:
    for index in range(options.first, options.first + options.count):
        mutant = fuzzer.file(index)
        yield Case(f"{index} {mutant.origin}", mutant.data, ANY_END)


def _report(
    title: str, outcomes: Counter[Kind], left_out: int, slowest: float, largest: int, seconds: float
) -> None:
    count = max(1, sum(outcomes.values()))
    ends = ", ".join(f"{outcomes[kind]} {kind.value}" for kind in Kind if outcomes[kind])
    print(
        f"{title}: {count} files, {ends}; {left_out} with passes left out; "
        f"at most {slowest:.1f} s and {largest >> 20} MB; {1000 * seconds / count:.0f} ms each",
        flush=True,
    )


def _save(case: Case, folder: Path, title: str) -> None:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{title}-{case.name}")[:100]
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    if isinstance(case.content, bytes):
        (place / FILE_NAME).write_bytes(case.content)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="mutants to try")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="a folder of more models to mutate")
    parser.add_argument("--families", default="all", help="names, or nothing for none")
    parser.add_argument("--save", type=Path, default=Path("hostile-failures"), help="where bad files go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
