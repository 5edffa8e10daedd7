"""The layers of the house: imports point downwards only, and nobody imports the package root."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the ground up. Modules of one row never import each other.
LAYERS = (
    ("errors", "demo"),
    ("ir",),
    ("execute",),
    ("cost", "idioms", "gradients", "pruning", "quant", "memory", "_native"),
    ("native",),
    ("targets",),
    ("pipeline",),
    ("passes",),
    ("io",),
    ("pytorch",),
    ("report",),
    ("compile",),
    ("testing",),
    ("cli",),
    ("__main__", "__init__"),
)
LEVEL = {part: level for level, row in enumerate(LAYERS) for part in row}

# `_native` is the compiled half of these, which alone may import it.
HALVES = {("native", "_native"), ("memory", "_native")}


def sources() -> Iterator[tuple[str, Path]]:
    """Each module's dotted name and file. The passes are read where they are, not through the symlink."""
    for package, folder in (("graphopt", ROOT / "graphopt"), ("graphopt.passes", ROOT / "passes")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package == "graphopt" and parts[0] == "passes":
                continue
            yield ".".join((package, *parts)), path


def part_of(module: str) -> str:
    """The part of the house a module stands in: `graphopt.ir.shapes` -> `ir`."""
    return module.split(".")[1]


def imports(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and absolute name of each graphopt module imported, inside functions and TYPE_CHECKING too."""
    package = module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names if is_ours(name.name))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            if is_ours(target):
                yield node.lineno, target


def is_ours(module: str) -> bool:
    return module.split(".")[0] == "graphopt"


def offences(module: str, text: str) -> list[str]:
    """What the imports of a module's text break, a line each."""
    here = part_of(module)
    if here not in LEVEL:
        return [f"{module}: {here!r} stands in no layer; give it a place in LAYERS"]
    found = []
    for line, target in imports(module, ast.parse(text)):
        if target == "graphopt":
            if here != "__init__":
                found.append(f"{module}:{line}: imports the package root")
            continue
        there = part_of(target)
        if there not in LEVEL:
            found.append(f"{module}:{line}: imports {target}, which stands in no layer")
        elif here != there and (here, there) not in HALVES and LEVEL[there] >= LEVEL[here]:
            found.append(f"{module}:{line}: {here} imports {there}, which is not below it")
    return found


def test_imports_point_downwards() -> None:
    found = [offence for module, path in sources() for offence in offences(module, path.read_text("utf-8"))]
    assert not found, "\n".join(found)


def test_the_walk_sees_the_whole_tree() -> None:
    seen = {part_of(module) for module, _ in sources()}
    assert {"errors", "ir", "passes", "native", "__init__"} <= seen


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("graphopt.ir.shapes", "import graphopt.pipeline"),
        ("graphopt.ir.shapes", "from graphopt.passes.cleanup import dce"),
        ("graphopt.ir.shapes", "def f():\n    from graphopt.io import load"),
        ("graphopt.ir.shapes", "if TYPE_CHECKING:\n    from graphopt.compile import Result"),
        ("graphopt.ir.shapes", "from ..io import load"),
        ("graphopt.ir.shapes", "from .. import io"),
        ("graphopt.cost.rules", "from graphopt.native import hash_bytes"),
        ("graphopt.passes.fold", "import graphopt._native, graphopt.cli"),
        ("graphopt.report", "from graphopt.testing import check_pass"),
        ("graphopt.cli", "import graphopt"),
        ("graphopt.cli", "from graphopt import load"),
        ("graphopt.novelty", "import numpy"),
        ("graphopt.cli", "from graphopt.novelty import thing"),
    ],
)
def test_an_import_that_breaks_the_rule_is_found(module: str, text: str) -> None:
    assert len(offences(module, text)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("graphopt.cli.main", "from graphopt.report import render\nfrom graphopt.cli.options import level"),
        ("graphopt.passes.fold", "import onnx_ir\nfrom graphopt.native import hash_tensor"),
        ("graphopt.native.hash", "from graphopt._native import hash128"),
        ("graphopt.ir.shapes", "from .ops import facts"),
        ("graphopt.ir.shapes", "import graphopt_plugin"),
    ],
)
def test_an_import_that_keeps_the_rule_passes(module: str, text: str) -> None:
    assert offences(module, text) == []
