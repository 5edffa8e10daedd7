"""Saves a model over another one again and again, and each time lets one more of its steps fail.

    python steps.py FOLDER

A step is whatever Python does with files: open, link, rename, remove, change. Each save runs in a process of
its own, which dies, is interrupted or finds the disk full at its step. Prints, as JSON, what was there after
each.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import SaveError
from graphopt.io import load, save

STEPS = frozenset({
    "fcntl.flock", "open", "os.chmod", "os.fsync", "os.link", "os.listdir", "os.remove", "os.rename",
    "os.truncate",
})  # fmt: skip
ENOUGH = 200
"""Steps that no save takes."""

OLD, NEW = 1.0, 2.0


@dataclasses.dataclass
class Outcome:
    """What was there after a save that failed at one step.

    Attributes:
        fault: "kill", "interrupt" or "full".
        external: Whether the weights of the models lie in a file of their own.
        step: The step's number and what it was.
        model: "old", "new", or what could not be read.
        left: Files that are of no model.
        left_next: The same after one more save, which nothing disturbed.
        ended: How the save ended.
    """

    fault: str
    external: bool
    step: str
    model: str
    left: list[str]
    left_next: list[str]
    ended: str


def model(scale: float) -> ir.Model:
    """y = (x + w) * v with 4 kB in w; all of both is `scale`."""
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        "agraph (float[N] x) => (float[N] y) { s = Add(x, w) y = Mul(s, v) }"
    )
    for name, size in (("w", 1024), ("v", 1)):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.full(size, scale, np.float32), name))
    return load(proto)


def found(path: Path) -> str:
    """Which model is there; both of its weights have to be of the same."""
    try:
        tensors = {
            each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(str(path)).graph.initializer
        }
    except Exception as error:
        return f"unreadable: {error}"
    seen = {*tensors["w"].tolist(), *tensors["v"].tolist()}
    return {OLD: "old", NEW: "new"}[seen.pop()] if len(seen) == 1 else "a mixture"


class Fault:
    """Fails at one step of those counted, from when it is armed."""

    def __init__(self, kind: str, step: int) -> None:
        self._kind = kind
        self._left = step
        self.name = ""
        sys.addaudithook(self._hear)
        fsync = os.fsync

        def audited(descriptor: Any) -> None:  # what Python itself does not tell
            self._hear("os.fsync", ())
            fsync(descriptor)

        setattr(os, "fsync", audited)  # noqa: B010 mypy knows of no such thing

    def _hear(self, event: str, arguments: Any) -> None:
        if event not in STEPS or self.name or not str(arguments[:1]).isascii():
            return
        self._left -= 1
        if self._left >= 0:
            return
        self.name = f"{event}{arguments!r}"[:120]
        os.write(1, self.name.encode() + b"\n")
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise (
            KeyboardInterrupt
            if self._kind == "interrupt"
            else OSError(errno.ENOSPC, "No space left on device")
        )


def attempt(kind: str, step: int, path: Path, *, external: bool) -> tuple[str, str]:
    """Save in a process of its own; the step it failed at, "" if none, and how it ended."""
    replaced = model(NEW)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        Fault(kind, step)
        ended = "saved"
        try:
            save(replaced, path, external_data=external)
        except SaveError as error:
            ended = f"SaveError: {error}"
        except BaseException as error:
            ended = type(error).__name__
        os.write(1, ended.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        name, _, ended = told.read().rpartition("\n")
    _, status = os.waitpid(child, 0)
    return (ended, "killed") if os.WIFSIGNALED(status) and not name else (name or "", ended or "killed")


def outcomes(folder: Path, kind: str, *, external: bool) -> list[Outcome]:
    """One for each step of a save."""
    kept, path = folder / "kept", folder / "now" / "m.onnx"
    shutil.rmtree(folder, ignore_errors=True)
    kept.mkdir(parents=True)
    save(model(OLD), kept / "m.onnx", external_data=external)
    whole = {"m.onnx", "m.onnx.data", "m.onnx.1.data"} if external else {"m.onnx"}
    made: list[Outcome] = []
    for step in range(ENOUGH):
        shutil.rmtree(path.parent, ignore_errors=True)
        shutil.copytree(kept, path.parent)
        name, ended = attempt(kind, step, path, external=external)
        if not name:
            return made
        outcome = Outcome(
            kind, external, name, found(path), sorted({*os.listdir(path.parent)} - whole), [], ended
        )
        if not name.startswith("os.listdir") and outcome.model == "old":
            unused = {*os.listdir(path.parent)} - {*os.listdir(kept)}
            outcome.left = sorted({*outcome.left, *unused})
        save(model(NEW), path, external_data=external)
        assert found(path) == "new"
        outcome.left_next = sorted({*os.listdir(path.parent)} - whole)
        made.append(outcome)
    raise RuntimeError("a save takes more steps than can be")


def main() -> None:
    """Try every fault; of models with external data, whose saving takes all the steps that others' takes."""
    tried = [
        dataclasses.asdict(outcome)
        for kind, external in (("kill", False), ("kill", True), ("interrupt", True), ("full", True))
        for outcome in outcomes(Path(sys.argv[1], kind), kind, external=external)
    ]
    print(json.dumps(tried))


if __name__ == "__main__":
    main()
