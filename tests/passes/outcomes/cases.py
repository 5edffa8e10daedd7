"""Small models and all that one pass makes of each: reads the files beside this one, and writes them anew.

    python tests/passes/outcomes/cases.py [PASS ...]     # after a change that is meant; read the difference

A file holds the cases of one pass. Each is a model as ONNX text, what was changed and what was refused, how
often and why, and the graph after. Before an outcome is written, `check_pass` holds the pass to its numbers.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx.printer
import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.io import to_proto
from graphopt.ir import infer_shapes
from graphopt.pipeline import Pass, default_catalog
from graphopt.pipeline.spec import parse_items
from graphopt.testing import check_pass, parse_model

FOLDER = Path(__file__).parent
BETWEEN = "\n\n==========\n\n"
BEHIND_MODEL = "\n----------\n"
HEADER = re.compile(r"<\s*ir_version: 9,\s*opset_import: \[\"\" : 18\]\s*>\s*")
"""What `parse_model` puts in front of a text without a header."""


@dataclass(frozen=True)
class Case:
    """A model, the pass as pipelines spell it, and the outcome; `name` is that of the test."""

    name: str
    item: str
    model: str
    outcome: str


def cases() -> Iterator[Case]:
    """All cases, in the order of the files."""
    for path in sorted(FOLDER.glob("*.txt")):
        for index, text in enumerate(path.read_text().strip().split(BETWEEN)):
            model, _, outcome = f"{text}\n".partition(BEHIND_MODEL)
            item, _, model = model.partition("\n")
            yield Case(f"{path.stem}-{index}", item, model, outcome.strip())


def write(stem: str, of_pass: Sequence[Case]) -> None:
    """Write the file of one pass."""
    texts = [f"{each.item}\n{each.model.strip()}{BEHIND_MODEL}{each.outcome.strip()}" for each in of_pass]
    (FOLDER / f"{stem}.txt").write_text(BETWEEN.join(texts) + "\n")


def made_of(item: str) -> Pass:
    """The pass that an item of a pipeline stands for."""
    (made,) = parse_items(item, default_catalog())
    assert isinstance(made, Pass)
    return made


def text_of(model: onnx.ModelProto) -> str:
    """A model as text, without the header that is put in front anyway."""
    return HEADER.sub("", onnx.printer.to_text(model)).strip()


def outcome_of(item: str, model: ir.Model) -> str:
    """What one run of a pass makes of a model, in place: counts, then the graph if it changed."""
    infer_shapes(model)
    changes = made_of(item).call(model).changes
    lines = [f"changed: {what} x{times}" for what, times in sorted(changes.hits.items())]
    lines += [f"refused: {why} x{times}" for why, times in sorted(changes.refusals.items())]
    lines += [
        f"found: {each.idiom} as {each.form}{each.remark and f', {each.remark}'}" for each in changes.findings
    ]
    if changes.count:
        infer_shapes(model)
        lines.append(text_of(to_proto(model)))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the outcomes of the passes named, or of all, as they are now; 1 if one breaks a property."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("passes", nargs="*", help="names; all passes by default")
    wanted = parser.parse_args(arguments).passes
    files: dict[str, list[Case]] = {}
    broken = 0
    for case in cases():
        stem = case.name.rpartition("-")[0]
        if not wanted or stem in wanted:
            try:
                check_pass(made_of(case.item), parse_model(case.model))
            except (AssertionError, GraphoptError) as error:
                print(f"{case.name}: {error}", file=sys.stderr)
                broken += 1
            outcome = outcome_of(case.item, parse_model(case.model))
            files.setdefault(stem, []).append(Case(case.name, case.item, case.model, outcome))
    for stem, of_pass in files.items():
        write(stem, of_pass)
    return min(broken, 1)


if __name__ == "__main__":
    raise SystemExit(main())
