"""Ends `graphopt optimize` at random moments, and looks at what it leaves behind.

    python benchmarks/faults.py [--moments N] [--seed S] [--fresh] [--json] [SCENARIO...]

A scenario is what is written over what: one file, a model with external data, the input itself, a report as
well, or the same output from several processes at a time. After each end the previous output must be intact
or the new one complete, and the next run must leave nothing but its output. Exits 1 where that does not hold.

Each run is forked from a process that has imported everything, so that its moments are those of its work;
with `--fresh` each is a process of its own, from its first import on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

SIDE = 160
"""Rows and columns of a weight; there are three, and one is too small for a file of its own."""

IMPORTED = ("graphopt.cli.app", "graphopt.compile", "graphopt.report.tables", "onnxruntime", "rich.console")

ENDINGS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
SAID = {"terminate": (128 + signal.SIGTERM, "terminated"), "interrupt": (128 + signal.SIGINT, "interrupted")}


HEADING = f"{'scenario':24} {'ended by':10} {'moments':>7} {'old':>5} {'new':>5} {'left a file':>11} wrong"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is written over what.

    Attributes:
        external: Whether the weights lie in a file of their own.
        output: Name of the output, in the folder of the input `in.onnx`.
        report: Whether a report is written as well.
        writers: Processes that write the output at the same time; all but the first are left alone.
    """

    external: bool = False
    output: str = "out.onnx"
    report: bool = False
    writers: int = 1

    def arguments(self) -> list[str]:
        """The command's, to be run in the folder."""
        report = ["--report", "report.json"] if self.report else []
        return ["optimize", "in.onnx", "-o", self.output, "--no-measure", "--json", *report]


SCENARIOS = {
    "one file": Scenario(),
    "external data": Scenario(external=True),
    "in place": Scenario(output="in.onnx"),
    "in place, external data": Scenario(external=True, output="in.onnx"),
    "with a report": Scenario(report=True),
    "two writers": Scenario(external=True, writers=2),
    "four writers": Scenario(external=True, writers=4),
}


def make_model(path: Path, scale: float, *, external: bool) -> None:
    """A chain of three layers with an Identity to remove and factors to fold; `scale` tells models apart."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> agraph (float[N,{SIDE}] x) => (float[N,{SIDE}] y) {{ '
        "a = MatMul(x, w0) b = Identity(a) c = Relu(b) d = MatMul(c, w1) e = Relu(d) f = MatMul(e, w2) "
        "g = Mul(f, s) y = Mul(g, s) }"
    )
    generator = np.random.default_rng(0)
    for index in range(3):
        array = (scale / SIDE) * generator.standard_normal((SIDE, SIDE), np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, f"w{index}"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([scale], np.float32), "s"))
    location = f"{path.name}.data" if external else None
    onnx.save(model, str(path), save_as_external_data=external, location=location)


def digest(path: Path) -> str:
    """Of a model with its external data, whatever the names of its files; "unreadable" where it is none."""
    try:
        return hashlib.sha256(onnx.load(str(path)).SerializeToString(deterministic=True)).hexdigest()
    except Exception:  # whatever onnx says, nobody else could read it either
        return "unreadable"


@dataclasses.dataclass
class Ended:
    """How one run ended.

    Attributes:
        code: Its exit code; negative for the signal that ended it.
        err: What it said.
        seconds: How long it ran.
    """

    code: int
    err: str
    seconds: float


Start = Callable[[Sequence[str], Path, Path], int]
"""Starts the command line with arguments in a folder, its messages to a file; returns the process id."""


def fork(arguments: Sequence[str], folder: Path, err: Path) -> int:
    """Start the command line in a copy of this process."""
    child = os.fork()
    if child:
        return child
    code = 70
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command begins it just ends
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        for descriptor, target in ((0, os.devnull), (1, os.devnull), (2, str(err))):
            os.dup2(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.argv = ["graphopt", *arguments]
        importlib.import_module("graphopt.cli").main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def spawn(arguments: Sequence[str], folder: Path, err: Path) -> int:
    """Start the command line as a process of its own."""
    with open(err, "wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "graphopt", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        ).pid


def wait(child: int, err: Path, began: float) -> Ended:
    """Wait for a process."""
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), err.read_text(errors="replace"), time.monotonic() - began)


class Trial:
    """Runs one scenario in one folder.

    Args:
        scenario: What is written over what.
        folder: Empty; holds nothing but the scenario's files between runs.
        start: How processes are started.
    """

    def __init__(self, scenario: Scenario, folder: Path, start: Start) -> None:
        self.scenario = scenario
        self._folder = folder
        self._start = start
        self._log = folder.parent / f"{folder.name}.log"
        self._kept = folder.parent / f"{folder.name}.start"
        make_model(folder / "in.onnx", 2.0, external=scenario.external)
        if scenario.output != "in.onnx":
            make_model(folder / scenario.output, 1.0, external=scenario.external)
        if scenario.report:
            (folder / "report.json").write_text('"old"')
        shutil.copytree(folder, self._kept)
        self._old = digest(self.output)
        whole = self.run(None, 0.0)
        self._new = digest(self.output)
        if whole.code or self._new in (self._old, "unreadable"):
            raise RuntimeError(f"the command does not work at all: {whole.err}")
        self.seconds = whole.seconds
        self._expected = self._names()

    @property
    def output(self) -> Path:
        """The output's path."""
        return self._folder / self.scenario.output

    def run(self, ending: str | None, after: float) -> Ended:
        """Run the command afresh, and end it by a signal after so many seconds."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)
        began = time.monotonic()
        others = [
            (self._start(self.scenario.arguments(), self._folder, log), log)
            for log in (Path(f"{self._log}.{number}") for number in range(1, self.scenario.writers))
        ]
        child = self._start(self.scenario.arguments(), self._folder, self._log)
        if ending is not None:
            time.sleep(after)
            os.kill(child, ENDINGS[ending])
        ended = wait(child, self._log, began)
        for other, log in others:
            if code := wait(other, log, began).code:
                ended.err += f"\nanother writer ended with {code}: {log.read_text()}"
        return ended

    def wrongs(self, ending: str, ended: Ended) -> Iterator[str]:
        """What is wrong after a run that a signal ended, in words."""
        now = digest(self.output)
        if now not in (self._old, self._new):
            yield f"the output is {'of neither model' if now != 'unreadable' else now}"
        if self.scenario.report and not self._report_is_whole():
            yield "the report is cut off"
        if "another writer" in ended.err:
            yield ended.err.strip()
        if re.search("Traceback|Exception ignored", ended.err) and "graphopt" in ended.err:
            yield f"a traceback: {ended.err.strip()}"
        if ending == "kill":
            return
        code, said = SAID[ending]
        # Before the command began, or once it was over, the signal is Python's to answer.
        silent = ended.code == -ENDINGS[ending] or "runpy" in ended.err or "in site" in ended.err
        if not silent and (ended.code not in (0, code) or (ended.code == code and said not in ended.err)):
            yield f"exit code {ended.code}: {ended.err.strip()}"
        if left := self.leftovers():
            yield f"left behind: {', '.join(left)}"

    def leftovers(self) -> list[str]:
        """Files that are neither the scenario's nor of an output."""
        return sorted(name for name in self._names() if name.startswith(".") or not self._is_expected(name))

    def wrongs_of_next(self) -> Iterator[str]:
        """What is wrong after running the command once more over what is there, in words."""
        again = wait(
            self._start(self.scenario.arguments(), self._folder, self._log), self._log, time.monotonic()
        )
        if again.code or (digest(self.output) != self._new and self.scenario.output != "in.onnx"):
            yield f"the next run ends with {again.code}: {again.err.strip()}"
        if left := [name for name in self._names() if name.startswith(".")]:
            yield f"the next run leaves {', '.join(left)}"

    def _is_expected(self, name: str) -> bool:
        return name in self._expected or name in os.listdir(self._kept)

    def _names(self) -> set[str]:
        return set(os.listdir(self._folder))

    def _report_is_whole(self) -> bool:
        try:
            json.loads((self._folder / "report.json").read_text())
        except (OSError, ValueError):
            return False
        return True


@dataclasses.dataclass
class Row:
    """What came of one scenario and one way to end it.

    Attributes:
        scenario, ending: Their names.
        moments: Runs that were ended, or that had come to their end.
        new: Those after which the new output was there.
        left: Those that left a temporary file.
        wrong: What must not be, in words.
    """

    scenario: str
    ending: str
    moments: int = 0
    new: int = 0
    left: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)


def try_moments(name: str, ending: str, trial: Trial, moments: int, chance: random.Random) -> Row:
    """End a scenario at so many random moments."""
    row = Row(name, ending)
    for _ in range(moments):
        after = chance.uniform(0.0, 1.1 * trial.seconds)
        ended = trial.run(ending, after)
        row.moments += 1
        row.new += digest(trial.output) == trial._new
        row.left += bool(trial.leftovers())
        row.wrong += [f"after {after:.3f} s: {wrong}" for wrong in trial.wrongs(ending, ended)]
        row.wrong += [f"after {after:.3f} s: {wrong}" for wrong in trial.wrongs_of_next()]
    return row


def _import_all() -> None:
    """Import what a command needs, some of it by running one that does nothing."""
    for module in IMPORTED:
        importlib.import_module(module)
    sys.argv = ["graphopt", "passes", "--json"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module("graphopt.cli").main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Try every scenario asked for; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="End graphopt optimize at random moments.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(SCENARIOS)}")
    parser.add_argument("--moments", type=int, default=100, help="for each scenario and way to end it")
    parser.add_argument("--endings", nargs="*", default=list(ENDINGS), choices=list(ENDINGS))
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--fresh", action="store_true", help="a process of its own for each run")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    if not options.json:
        print(f"seed {options.seed}\n{HEADING}", flush=True)
    if not options.fresh:
        _import_all()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["GRAPHOPT_CACHE"] = scratch  # rates of the machine, which others may measure meanwhile
        for name in options.scenarios or SCENARIOS:
            folder = Path(scratch, name.replace(" ", "-"))
            folder.mkdir()
            trial = Trial(SCENARIOS[name], folder, spawn if options.fresh else fork)
            for ending in options.endings:
                rows.append(try_moments(name, ending, trial, options.moments, chance))
                if not options.json:
                    _show(rows[-1])
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    return int(any(row.wrong for row in rows))


def _show(row: Row) -> None:
    counts = f"{row.moments:7} {row.moments - row.new:5} {row.new:5} {row.left:11} {len(row.wrong):5}"
    print(f"{row.scenario:24} {row.ending:10} {counts}", flush=True)
    for wrong, count in Counter(row.wrong).most_common(5):
        print(f"  {count}x {wrong}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
