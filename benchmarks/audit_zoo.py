"""Hold the audit's predictions to what onnxruntime runs, on the zoo quantized by onnxruntime's own tools.

    python benchmarks/audit_zoo.py [--scheme naive] [NAME...]

Each model is quantized in each way, audited and optimized by onnxruntime; the exit code is 1 if one node runs
otherwise than predicted. What a tool cannot quantize, or what onnxruntime then refuses to load, is said.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx_ir as ir
import zoo
from tasks.naive import NAIVE
from zoo_inputs import Arrays

from graphopt.report.audit import Audit, audit
from graphopt.targets import Target

SAMPLES = 3
"""Inputs to calibrate with: ranges hardly matter to what runs on codes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit, print a line for each model and scheme; 1 if a prediction fails."""
    parser = argparse.ArgumentParser(description="Hold predictions to what onnxruntime runs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models of the zoo (default: all)")
    parser.add_argument("--scheme", choices=NAIVE, action="append", help="all by default")
    parser.add_argument("--target", default="ort-cpu")
    options = parser.parse_args(arguments)
    target, wrong, agreed = Target.load(options.target), 0, 0
    for name in options.names or zoo.ZOO:
        for scheme in options.scheme or NAIVE:
            with tempfile.TemporaryDirectory() as folder:
                found = _audited(zoo.ZOO[name], scheme, target, Path(folder))
            if isinstance(found, str):
                print(f"{name:20} {scheme:14} {found}", flush=True)
                continue
            kinds = [node.runs_in for node in found.heavy]
            counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
            agreed += sum(node.agrees is True for node in found.nodes)
            wrong += len(found.disagreements)
            verdict = found.notes[0] if found.notes else f"{len(found.disagreements)} not as predicted"
            print(f"{name:20} {scheme:14} {counts or 'nothing heavy'}; {verdict[:160]}", flush=True)
            for cause, members in found.groups[:3]:
                print(f"{'':35} {len(members)} in float: {cause}")
            for node in found.disagreements:
                print(f"{'':35} WRONG {node.reason}; onnxruntime runs {node.found}")
    print(f"{agreed} nodes run as predicted, {wrong} do not")
    return 1 if wrong else 0


def _audited(entry: zoo.Entry, scheme: str, target: Target, folder: Path) -> Audit | str:
    """The audit of a quantized model, or why there is none."""
    made = folder / "quantized.onnx"
    try:
        with _quiet():
            NAIVE[scheme](entry.path(), made, _samples(entry))
    except Exception as error:
        return f"not quantized: {(str(error).strip() or type(error).__name__).splitlines()[0][:120]}"
    return audit(ir.load(made), target, source=entry.name, profile=False)


def _samples(entry: zoo.Entry) -> Iterator[Arrays]:
    for seed in range(SAMPLES):
        yield from entry.inputs(seed, entry.bindings[:1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the tools print."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    sys.exit(main())
