"""Plants small faults in the passes and the engine below them, and counts those that the tests find.

    pytest -n 2 --cov --cov-report= --cov-context=test      # once: which test runs which line, into .coverage
    python benchmarks/mutants.py [--count N] [--seed N] [--jobs N] [--seconds S] [--state FILE] [--again]

A sample of all faults is drawn by the seed. Each is planted in the memory of a process of its own, never in
a file, and meets the tests that run its line, those of its own pass first, until one fails. A fault that no
test finds survives: either a test is missing, or `mutants.md` beside this file says why none can tell. The
state file keeps the outcomes, so that a run which was stopped goes on. POSIX only: processes are forked.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.machinery
import itertools
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType
from typing import Any

from mutations import mutations, planted

ROOT = Path(__file__).resolve().parents[1]
MUTATED = ("passes/**/*.py", "graphopt/ir/pattern.py", "graphopt/ir/rewrite.py", "graphopt/idioms/*.py")
EXPLAINED = ROOT / "benchmarks" / "mutants.md"
NEAR = ("tests/passes", "tests/ir", "tests/idioms", "tests/test_", "tests/compile", "tests/testing")
"""Where tests are run from, nearest to the mutated modules first; others are slower and find little more."""
QUICK = "tests/passes/test_outcomes.py::test_outcome["
"""Tests of a few milliseconds that look at everything; they come before all others."""
PRELOADED = ("pytest", "numpy", "onnx", "onnx_ir", "onnx_shape_inference", "onnxruntime", "hypothesis")
"""Imported once and inherited by each process; nothing of graphopt, which each process imports mutated."""
MEMORY_BYTES = 6 << 30
MOST_TESTS = 400
FIRST_TESTS = 30
"""So many tests are tried before the files of all the others are imported."""
GRACE = 3.0
"""A mutant that takes this many times the seconds granted to its tests hangs."""
WALL_SECONDS = 600.0
"""A mutant that takes longer by the clock waits for something that never comes."""


@dataclass(frozen=True)
class Mutant:
    """A fault in a file: where, what, and what to call it."""

    file: str
    index: int
    kind: str
    line: int
    lines: tuple[int, int] | None
    before: str
    after: str

    @property
    def row(self) -> str:
        """How the tables name it: by its text, since lines move."""
        before, after = (text.replace("|", "\\|") for text in (self.before, self.after))
        change = self.kind if self.after == self.kind else f"{self.kind}: `{after}`"
        return f"| `{self.file}` | `{before}` | {change} |"


NEAR_LINES = 40
"""So far a fault may have moved in its file to be found again."""
FOUND = ("killed", "hung")
"""Outcomes of a mutant that a test has found."""


@dataclass
class Outcome:
    """What became of a mutant: `killed`, `hung`, `survived` or `not run by any test`; found by which test."""

    row: str
    line: int
    kind: str
    outcome: str
    by: str = ""
    tests: int = 0
    seconds: float = 0.0


@dataclass
class Coverage:
    """Which tests run which lines, by file; and all tests of a file that are not there only to import it."""

    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Coverage:
        """Read what `pytest --cov-context=test` wrote."""
        from coverage import CoverageData

        data = CoverageData(str(path))
        data.read()
        found = cls()
        for name in data.measured_files():
            file = os.path.relpath(name, ROOT)
            found.lines[file] = {
                line: sorted({context.partition("|")[0] for context in contexts if context})
                for line, contexts in data.contexts_by_lineno(name).items()
            }
        return found

    def tests(self, mutant: Mutant) -> list[str]:
        """Tests that run the mutant, those most likely to find it first."""
        lines = self.lines.get(mutant.file, {})
        if mutant.lines is None:
            counts = Counter(test for tests in lines.values() for test in tests)
            reached = [test for test, _ in counts.most_common()]
        else:
            first, last = mutant.lines
            reached = sorted({test for line in range(first, last + 1) for test in lines.get(line, ())})
        reached = [test for test in reached if test.startswith(NEAR)]
        quick = [test for test in reached if test.startswith(QUICK)]
        reached = [test for test in reached if not test.startswith(QUICK)]
        own = Path(mutant.file).stem.strip("_")
        mine = [test for test in reached if own in test.partition("::")[0]]
        others = [test for test in reached if own not in test.partition("::")[0]]
        if mutant.lines is None:  # tests that only read what a module defines run no line of it
            files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"tests/passes/test_*{own}*.py"))
            mine = [*files, *(test for test in mine if test.partition("::")[0] not in files)]
        return [*quick, *[*_by_turns(mine), *_by_turns(sorted(others, key=_distance))][:MOST_TESTS]]


def _by_turns(tests: Sequence[str]) -> list[str]:
    """One case of each test function, then another of each: cases of one function find much the same."""
    functions: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        functions[test.partition("[")[0]].append(test)
    turns = itertools.zip_longest(*functions.values())
    return [test for turn in turns for test in turn if test is not None]


def _distance(test: str) -> int:
    return next(index for index, folder in enumerate(NEAR) if test.startswith(folder))


def all_mutants() -> Iterator[Mutant]:
    """Every fault that can be planted, without its texts: they take a parse each."""
    for pattern in MUTATED:
        for path in sorted(ROOT.glob(pattern)):
            for index, each in enumerate(mutations(ast.parse(path.read_text()))):
                file = str(path.relative_to(ROOT))
                yield Mutant(file, index, each.kind, each.line, each.lines, "", "")


def sample(count: int, seed: int) -> list[Mutant]:
    """The faults drawn by `seed`, with their texts."""
    everything = list(all_mutants())
    print(f"{len(everything)} faults can be planted; {count} drawn with seed {seed}")
    drawn = random.Random(seed).sample(everything, min(count, len(everything)))
    complete = []
    for each in drawn:
        _, before, after = planted((ROOT / each.file).read_text(), each.index)
        complete.append(Mutant(each.file, each.index, each.kind, each.line, each.lines, before, after))
    return complete


def found_again(outcomes: Sequence[Outcome]) -> list[Mutant]:
    """The faults of outcomes in the source as it is now, where it still has them."""
    wanted = {(each.row, each.kind): each for each in outcomes}
    lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    for outcome in outcomes:
        lines[outcome.row.split("`")[1], outcome.kind].append(outcome.line)
    again = []
    for each in all_mutants():
        if any(abs(each.line - line) <= NEAR_LINES for line in lines.get((each.file, each.kind), ())):
            _, before, after = planted((ROOT / each.file).read_text(), each.index)
            mutant = Mutant(each.file, each.index, each.kind, each.line, each.lines, before, after)
            if wanted.pop((mutant.row, mutant.kind), None):
                again.append(mutant)
    for row, _ in wanted:
        print(f"no longer there: {row}")
    return again


class _Watch:
    """A pytest plug-in: remembers the first failure, and ends the session when its seconds are spent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.failed = ""
        self.passed = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid
        self.passed += report.passed and report.when == "call"

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or f"import of {report.nodeid}"

    def pytest_runtest_teardown(self, item: Any) -> None:
        if time.process_time() > self._seconds:
            item.session.shouldstop = "out of time"


def _run_tests(mutant: Mutant | None, tests: Sequence[str], seconds: float, answer: Connection) -> None:
    """The life of a child process: plant, run the tests, say which one failed, if any."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    limit = int(GRACE * seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    if mutant is not None:
        _import_mutated(mutant)
    import pytest

    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = scratch
        watch = _Watch(seconds)
        status = pytest.ExitCode.OK
        for stage in (tests[:FIRST_TESTS], tests[FIRST_TESTS:]):
            if stage and status is pytest.ExitCode.OK:
                options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
                status = pytest.ExitCode(pytest.main([*options, *stage], plugins=[watch]))
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED) and not watch.failed:
        watch.failed = f"pytest: {status.name}"
    answer.send((watch.failed, watch.passed))
    os._exit(0)


def _import_mutated(mutant: Mutant) -> None:
    """Let imports of the mutant's file, under any of its names, find the mutated code."""
    path = ROOT / mutant.file
    code = compile(planted(path.read_text(), mutant.index)[0], str(path), "exec")
    loader = importlib.machinery.SourceFileLoader
    original = loader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        return code if Path(self.path).resolve() == path else original(self, fullname)

    loader.get_code = get_code  # type: ignore[method-assign, assignment]


class Runner:
    """Runs mutants, each in a process of its own, `jobs` at a time."""

    def __init__(self, coverage: Coverage, seconds: float, state: Path) -> None:
        self._coverage = coverage
        self._seconds = seconds
        self._state = state
        self._forks = multiprocessing.get_context("fork")
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        if state.exists():
            known = [Outcome(**each) for each in json.loads(state.read_text())]
            self.outcomes = {(each.row, each.line): each for each in known}

    def run(self, mutants: Sequence[Mutant], jobs: int) -> None:
        """Run those whose outcome is not known yet."""
        waiting = [each for each in mutants if (each.row, each.line) not in self.outcomes]
        running: dict[BaseProcess, tuple[Mutant, Connection, float]] = {}
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant = waiting.pop(0)
                tests = self._coverage.tests(mutant)
                if not tests:
                    self._keep(mutant, ("not run by any test", "", 0), 0.0)
                    continue
                process, answer = self._start(mutant, tests)
                running[process] = (mutant, answer, time.monotonic())
            wait([process.sentinel for process in running], timeout=1.0 if running else 0.0)
            for process, (mutant, answer, start) in list(running.items()):
                seconds = time.monotonic() - start
                if seconds > WALL_SECONDS or not process.is_alive():
                    del running[process]
                    self._keep(mutant, _outcome(process, answer), seconds)

    def take_survivors(self) -> list[Outcome]:
        """Forget the outcomes of those that no test found, and return them."""
        survivors = [each for each in self.outcomes.values() if each.outcome not in FOUND]
        for each in survivors:
            del self.outcomes[each.row, each.line]
        return survivors

    def confirm(self, tests: Sequence[str]) -> str:
        """Run tests on the code as it is, and name the first that fails; "" if they all pass."""
        process, answer = self._start(None, tests, seconds=3600.0)
        process.join()
        return _outcome(process, answer)[1]

    def _start(
        self, mutant: Mutant | None, tests: Sequence[str], seconds: float = 0.0
    ) -> tuple[BaseProcess, Connection]:
        answer, child = self._forks.Pipe(duplex=False)
        given = (mutant, tests, seconds or self._seconds, child)
        process = self._forks.Process(target=_run_tests, args=given)
        process.start()
        child.close()
        return process, answer

    def _keep(self, mutant: Mutant, found: tuple[str, str, int], seconds: float) -> None:
        outcome, by, passed = found
        kept = Outcome(mutant.row, mutant.line, mutant.kind, outcome, by, passed, round(seconds, 1))
        self.outcomes[mutant.row, mutant.line] = kept
        self._state.write_text(json.dumps([asdict(each) for each in self.outcomes.values()], indent=1))
        print(
            f"{outcome:9} {seconds:5.1f} s {passed:4} tests  {mutant.file}:{mutant.line}  {mutant.kind}  {by}"
        )
        sys.stdout.flush()


def _outcome(process: BaseProcess, answer: Connection) -> tuple[str, str, int]:
    """What came of a process: the outcome, the test that failed, the number that passed before it."""
    if process.is_alive():
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    try:
        by, passed = answer.recv()
    except EOFError:
        if process.exitcode in (-signal.SIGKILL, -signal.SIGXCPU):
            return "hung", "", 0
        by, passed = f"the process ended with {process.exitcode}", 0
    return "killed" if by else "survived", by, passed


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts by kind, then the survivors: with their reason where `mutants.md` gives one."""
    explained = EXPLAINED.read_text() if EXPLAINED.exists() else ""
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for each in outcomes:
        kinds[each.kind].append(each)
    rows = ["| fault | planted | killed | hung | survived |", "| --- | ---: | ---: | ---: | ---: |"]
    for kind, group in [*sorted(kinds.items()), ("**all**", list(outcomes))]:
        counts = Counter(each.outcome for each in group)
        survived = len(group) - counts["killed"] - counts["hung"]
        rows.append(f"| {kind} | {len(group)} | {counts['killed']} | {counts['hung']} | {survived} |")
    left = [each for each in outcomes if each.outcome not in FOUND]
    share = 1 - len(left) / max(len(outcomes), 1)
    rows += ["", f"killed or hung: {share:.1%}", ""]
    for title, known in (("explained", True), ("not explained", False)):
        part = [each for each in left if (each.row in explained) is known]
        rows += [f"survived, {title}: {len(part)}", *(f"{each.row} {each.outcome}" for each in part), ""]
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sample and print the table; 1 if a test that found a fault fails on the code as it is, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="faults to draw (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--again", action="store_true", help="run what survived in the state file once more")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument(
        "--seconds", type=float, default=40.0, help="of processor time, for the tests of one fault"
    )
    parser.add_argument(
        "--coverage", type=Path, default=ROOT / ".coverage", help="which test runs which line"
    )
    parser.add_argument("--state", type=Path, help="where outcomes are kept, to go on later (JSON)")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    mutants = [] if options.again else sample(options.count, options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        state = options.state or Path(scratch) / "state.json"
        for module in PRELOADED:
            importlib.import_module(module)
        runner = Runner(Coverage.read(options.coverage), options.seconds, state)
        if options.again:
            runner.run(found_again(runner.take_survivors()), options.jobs)
        runner.run(mutants, options.jobs)
        outcomes = [runner.outcomes[each.row, each.line] for each in mutants] or list(
            runner.outcomes.values()
        )
        killers = sorted({each.by for each in outcomes if "::" in each.by})
        if broken := runner.confirm(killers):
            print(f"fails without any fault planted: {broken}")
            return 1
    print(table(outcomes))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
