"""Soak the passes: generated models through random passes, pipelines, levels and targets, for hours.

    python benchmarks/soak.py [--first SEED] [--count N | --hours H] [--jobs N] [--out FOLDER]

Each seed makes a model and a pipeline, and every property of `graphopt.testing.check_pass` must hold. What
fails is reduced and saved with the command that reproduces it. A folder given again is gone on with. Exits 1
on any failure.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from graphopt.testing.check import PassFailure, check_pass
from graphopt.testing.check.reduced import reduce_failure
from graphopt.testing.check.saved import save_failure
from graphopt.testing.examples import make_example
from graphopt.testing.generate import Unfit

CHUNK = 200
"""Examples a process; a native crash costs no more than the rest of its chunk, which is tried again."""
PATIENCE = 60.0
"""Seconds for one example; longer counts as a hang."""
REDUCING = 600.0
"""Seconds to make a failing one smaller."""


@dataclass
class Tally:
    """What has been tried, and what went wrong.

    Attributes:
        ranges: First seed and count of what is done.
        outcomes: Examples by outcome: "held", "no model", or the property that was broken.
        unchecked: Examples by property that could not be looked at.
        failures: Seed, outcome and headline of each failure.
    """

    ranges: list[tuple[int, int]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, seed: int, outcome: str, detail: str, unchecked: Iterable[str]) -> None:
        """Count one example."""
        self.outcomes[outcome] += 1
        self.unchecked.update(unchecked)
        if outcome not in ("held", "no model"):
            self.failures.append((seed, outcome, detail))

    def finish(self, first: int, count: int) -> None:
        """Say that a range of seeds is done; ranges that meet become one."""
        merged: list[tuple[int, int]] = []
        for start, length in sorted([*self.ranges, (first, count)]):
            if merged and start <= sum(merged[-1]):
                merged[-1] = (merged[-1][0], max(sum(merged[-1]), start + length) - merged[-1][0])
            else:
                merged.append((start, length))
        self.ranges = merged

    def save(self, path: Path) -> None:
        """Write it where `load` finds it; a reader never sees half of it."""
        text = json.dumps({**vars(self)}, indent=1)
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    @classmethod
    def load(cls, path: Path) -> Tally:
        """What was saved, or an empty tally."""
        if not path.exists():
            return cls()
        read = json.loads(path.read_text())
        return cls(
            [(first, count) for first, count in read["ranges"]],
            Counter(read["outcomes"]),
            Counter(read["unchecked"]),
            [(seed, outcome, detail) for seed, outcome, detail in read["failures"]],
        )


def try_example(seed: int, out: Path | None = None) -> tuple[str, str, list[str]]:
    """The outcome of one seed, what is to be said of it, and which properties could not be looked at.

    Args:
        seed: Of the example.
        out: Folder for the reduced model of a failure.
    """
    try:
        example = make_example(seed)
    except Unfit:
        return "no model", "", []
    try:
        run = check_pass(example.pipeline, example.model)
    except PassFailure as failure:
        return failure.property, _reduced(failure, seed, out), []
    return "held", "", list(run.unchecked)


def _reduced(failure: PassFailure, seed: int, out: Path | None) -> str:
    """The failure's headline; its model is saved as small as it gets."""
    if out is not None:
        failure.origin = f"seed {seed}"
        faulthandler.dump_traceback_later(REDUCING, exit=True)
        saved = save_failure(reduce_failure(failure), out, name=str(seed))
        (out / f"{seed}.txt").write_text(f"{saved.failure.headline}\n\n{saved.text}\n")
    return failure.headline


def _work(first: int, count: int, log: Path, out: Path) -> None:
    """Try a range of seeds and write a line before and after each."""
    faulthandler.enable()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  warnings of the runtimes
    with log.open("w") as file:
        for seed in range(first, first + count):
            _say(file, seed, "started")
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            try:
                _say(file, seed, *try_example(seed, out))
            except Exception:
                _say(file, seed, "error", traceback.format_exc(limit=-4), [])
            faulthandler.cancel_dump_traceback_later()


def _say(file: TextIO, *words: Any) -> None:
    file.write(json.dumps(words) + "\n")
    file.flush()


def _read(log: Path, tally: Tally) -> int | None:
    """Count what a process wrote; the seed at which it ended without a word, if it did."""
    open_seed = None
    for line in log.read_text().splitlines():
        seed, *words = json.loads(line)
        if words == ["started"]:
            open_seed = seed
        else:
            open_seed = None
            tally.add(seed, *words)
    return open_seed


def _chunks(first: int, count: int | None, tally: Tally) -> Iterator[tuple[int, int]]:
    """Ranges of seeds still to try; without end if there is no count."""
    seed = first
    while count is None or seed < first + count:
        size = CHUNK if count is None else min(CHUNK, first + count - seed)
        if not any(start <= seed and seed + size <= start + length for start, length in tally.ranges):
            yield seed, size
        seed += size


def soak(first: int, count: int | None, seconds: float | None, jobs: int, out: Path) -> Tally:
    """Try seeds in forked processes until the count or the time is reached."""
    out.mkdir(parents=True, exist_ok=True)
    tally = Tally.load(out / "tally.json")
    fork = multiprocessing.get_context("fork")
    until = None if seconds is None else time.monotonic() + seconds
    waiting = _chunks(first, count, tally)
    running: dict[Any, tuple[int, int, Path]] = {}
    rest: list[tuple[int, int]] = []
    while True:
        stop = until is not None and time.monotonic() > until
        while len(running) < jobs and not stop and (chunk := rest.pop() if rest else next(waiting, None)):
            log = out / f"chunk-{chunk[0]}.log"
            process = fork.Process(target=_work, args=(*chunk, log, out))
            process.start()
            running[process] = (*chunk, log)
        if not running:
            return tally
        for process in [each for each in running if not each.is_alive()]:
            start, size, log = running.pop(process)
            crashed = _read(log, tally)
            log.unlink()
            if crashed is not None:
                tally.add(crashed, "crash", f"the process ended with code {process.exitcode}", [])
                if left := start + size - crashed - 1:
                    rest.append((crashed + 1, left))
                size = crashed + 1 - start
            tally.finish(start, size)
            tally.save(out / "tally.json")
            _show(tally)
        time.sleep(0.05)


def _show(tally: Tally) -> None:
    tried = sum(tally.outcomes.values())
    bad = {name: times for name, times in tally.outcomes.items() if name not in ("held", "no model")}
    end = "\n" if not sys.stdout.isatty() else "\r"
    print(f"{tried} tried, {tally.outcomes['held']} held, {bad or 'no failures'}", end=end, flush=True)


def shorten(text: str, most: int = 400) -> str:
    """The end of a text, where the cause stands."""
    return text if len(text) <= most else f"... {text[-most:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and print each failure."""
    parser = argparse.ArgumentParser(description="Put generated models through random passes and pipelines.")
    parser.add_argument("--first", type=int, default=0, help="first seed (0)")
    parser.add_argument("--count", type=int, help="number of seeds; until stopped by default")
    parser.add_argument("--hours", type=float, help="stop after so long")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes; one a core by default"
    )
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder for failures and progress")
    options = parser.parse_args(arguments)
    seconds = None if options.hours is None else 3600 * options.hours
    tally = soak(options.first, options.count, seconds, options.jobs, options.out)
    print()
    for seed, outcome, detail in tally.failures:
        print(f"seed {seed}: {outcome}: {shorten(detail.strip())}")
    for name, times in tally.unchecked.most_common():
        print(f"{times} examples left {name!r} unchecked")
    _show(tally)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
