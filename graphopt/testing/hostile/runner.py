"""Tries hostile files, each in a process forked from a warm parent, under limits of time and memory.

A process that dies, hangs or grows is an outcome, never an error of the runner.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import math
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphopt.testing.hostile.case import Case
from graphopt.testing.hostile.outcome import Kind, Outcome

LIMIT_SECONDS = 10.0
LIMIT_BYTES = 1 << 30
WARM_BYTES = 320 << 20
"""Resident size of a process that has loaded all libraries; what a runner has beyond is not a file's."""
KILL_FACTOR = 1.5
"""A process this far above the limit is ended, so that the machine lives on."""
_LOOK_SECONDS = 0.01
_IDLE_FACTOR = 10
"""A process that does nothing for so many times the limit hangs too."""
_PAGE_BYTES = resource.getpagesize()
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_USER_TICKS, _SYSTEM_TICKS = 11, 12
"""Places in /proc/PID/stat behind the name (proc(5))."""


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        seconds: Time of each stage (load, verify, each level): by the clock, or of the processor where other
            programs keep it busy.
        peak_bytes: Resident size of the process, with all its libraries.
    """

    seconds: float = LIMIT_SECONDS
    peak_bytes: int = LIMIT_BYTES


class Runner:
    """Tries files one after the other; use as a context manager around its scratch folder.

    Args:
        levels: Levels at which each file is optimized.
        limits: What one file may cost.
        check_timeout: Passed on to `optimize`.
    """

    def __init__(
        self,
        levels: Sequence[int] = (1, 2),
        limits: Limits | None = None,
        check_timeout: float | None = None,
    ) -> None:
        self._levels = tuple(levels)
        self._limits = limits or Limits()
        self._check_timeout = check_timeout

    def __enter__(self) -> Runner:
        _warm_up()
        self._scratch = Path(tempfile.mkdtemp(prefix="hostile-"))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def try_file(self, write: Callable[[Path], Path], levels: Sequence[int] | None = None) -> Outcome:
        """Try one file.

        Args:
            write: Writes the file, and what belongs to it, into the folder given; returns its path.
            levels: In place of the runner's.
        """
        base = self._scratch / "case"
        folder = base / "outside" / "models"
        for each in (folder, base / "out", base / "tmp"):
            each.mkdir(parents=True)
        try:
            path = write(folder)
            return self._fork(path, base, self._levels if levels is None else tuple(levels))
        finally:
            shutil.rmtree(base, ignore_errors=True)

    def try_bytes(self, content: bytes, levels: Sequence[int] | None = None) -> Outcome:
        """Try a file of that content; see `try_file`."""
        return self.try_file(Case("bytes", content).write, levels)

    def _fork(self, path: Path, base: Path, levels: tuple[int, ...]) -> Outcome:
        sys.stdout.flush()
        sys.stderr.flush()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _be_the_child(path, base, levels, self._check_timeout, writer)
        os.close(writer)
        inherited = max(0, _resident_bytes(os.getpid()) - WARM_BYTES)
        limits = replace(self._limits, peak_bytes=self._limits.peak_bytes + inherited)
        with open(reader, "rb", buffering=0) as pipe:
            watched = _watch(child, pipe, limits)
        _, status, usage = os.wait4(child, 0)
        noise = (base / "noise").read_text(errors="replace").strip()[-400:]
        peak = usage.ru_maxrss * 1024 - inherited
        outcome = _judge(watched, status, noise, peak)
        if outcome.kind.fine and peak > self._limits.peak_bytes:
            outcome = replace(outcome, kind=Kind.MEMORY)
        if outcome.kind.fine and outcome.seconds > self._limits.seconds:
            outcome = replace(outcome, kind=Kind.HANG)
        return outcome


@dataclass
class _Watched:
    """What a child told before it ended, or was ended.

    Attributes:
        stage: The last stage that it began.
        seconds: Time of its longest stage.
        verdict: Its last word, if it came to that.
        ended: Why it was killed, if it was.
    """

    stage: str = ""
    seconds: float = 0.0
    verdict: list[Any] | None = None
    ended: Kind | None = None


def _judge(watched: _Watched, status: int, noise: str, peak: int) -> Outcome:
    if watched.ended is not None:
        return Outcome(watched.ended, noise, watched.stage, watched.seconds, peak)
    if watched.verdict is None or os.WIFSIGNALED(status):
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status}"
        return Outcome(Kind.CRASH, f"{how} {noise}".strip(), watched.stage, watched.seconds, peak)
    kind, detail, left_out = watched.verdict
    return Outcome(Kind(kind), detail, watched.stage, watched.seconds, peak, tuple(left_out))


def _watch(child: int, pipe: Any, limits: Limits) -> _Watched:
    watched = _Watched()
    begun = time.monotonic()
    text = b""
    begun_at = 0.0
    while True:
        ready, _, _ = select.select([pipe], [], [], _LOOK_SECONDS)
        now = time.monotonic()
        processor = _processor_seconds(child)
        spent = min(now - begun, max(0.0, processor - begun_at))
        watched.seconds = max(watched.seconds, spent)
        if ready:
            data = pipe.read(65536)
            if not data:
                return watched
            text += data
            *lines, text = text.split(b"\n")
            for line in lines:
                told = json.loads(line)
                if isinstance(told, list):
                    watched.verdict = told
                else:
                    watched.stage, begun = told, now
                    begun_at = processor if processor < math.inf else 0.0
            continue
        over = spent > limits.seconds * KILL_FACTOR or now - begun > limits.seconds * _IDLE_FACTOR
        if over or _resident_bytes(child) > limits.peak_bytes * KILL_FACTOR:
            watched.ended = Kind.HANG if over else Kind.MEMORY
            os.kill(child, signal.SIGKILL)
            return watched


def _resident_bytes(process: int) -> int:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{process}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES
    return 0


def _processor_seconds(process: int) -> float:
    """Processor time of a process and its threads; without end where the system does not tell."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{process}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
        return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_PER_SECOND
    return math.inf


def _be_the_child(
    path: Path, base: Path, levels: tuple[int, ...], check_timeout: float | None, writer: int
) -> None:
    """Try the file and leave the process; never returns."""
    from graphopt.testing.hostile.attempt import attempt
    from graphopt.testing.hostile.sandbox import WriteWatch

    code = 1
    try:
        faulthandler.disable()  # it would tell the parent's terminal
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        noise = os.open(base / "noise", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(noise, 1)
        os.dup2(noise, 2)
        tempfile.tempdir = str(base / "tmp")

        def tell(message: object) -> None:
            os.write(writer, json.dumps(message).encode() + b"\n")

        watch = WriteWatch([base / "out", base / "tmp"])
        kind, detail, left_out = attempt(path, base / "out" / "out.onnx", levels, watch, tell, check_timeout)
        tell([kind.value, detail[:2000], left_out])
        code = 0
    finally:
        os._exit(code)


def _warm_up() -> None:
    """Optimize a small model in this process, so that its children find every module imported."""
    import onnx
    from onnx import parser

    from graphopt.compile import optimize
    from graphopt.report.tables import optimization

    proto: onnx.ModelProto = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> warm (float[N,4] x) => (float[N,4] y) '
        "<float[4] w = {1, 2, 3, 4}> { a = Mul(x, w) b = Add(a, w) c = Transpose(b) d = Transpose(c) "
        "y = Softmax(d) }"
    )
    result = optimize(proto, measure=False)
    optimization(result.report, verbose=True)
