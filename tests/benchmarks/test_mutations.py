"""Which faults are planted in source, and what is left alone."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def mutations(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("mutations")


def variants(mutations: Any, source: str) -> set[str]:
    """The text of `source` under each fault that may be planted in it."""
    count = len(list(mutations.mutations(ast.parse(source))))
    return {ast.unparse(mutations.planted(source, index)[0]) for index in range(count)}


@pytest.mark.parametrize(
    ("source", "planted"),
    [
        ("a < b", {"a <= b"}),
        ("a < b <= c", {"a <= b <= c", "a < b < c"}),
        ("a is None", {"a is not None"}),
        ("a in b and c", {"a not in b and c", "a in b or c"}),
        ("a if not b else c", {"a if b else c", "c if not b else a"}),
        ("a[-1]", {"a[1]", "a[-2]", "a[-0]"}),
        ("a[0]", {"a[1]"}),
        ("f(a, b)", {"f(b, a)", "pass"}),
        ("x = f(a, k=1)", {"x = f(a)", "x = f(a, k=2)", "x = f(a, k=0)"}),
        ("x = a - b", {"x = a + b", "x = b - a"}),
        ("x = np.abs(a - b)", {"x = np.abs(a + b)"}),
        ("x = any(a)", {"x = all(a)"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if True]"}),
        ("x = True", {"x = False"}),
        ("x += y", {"pass"}),
        ("x[y] = z", {"pass"}),
        ("if a:\n    b()\nc = d", {"pass\nc = d", "if a:\n    pass\nc = d"}),
        ("for a in b:\n    c = a", {"for a in b:\n    c = a\n    break"}),
        ("x = tape.op(name, [a, b])", {"x = tape.op(name, [b, a])"}),
        ("x = op('Sub', var('x'), const('c'))", {"x = op('Sub', const('c'), var('x'))"}),
        ("x = tape.op('Div', [a, b])", {"x = tape.op('Div', [b, a])"}),
        ("x = y > MOST_STEPS", set()),
        ("x = y == MOST_STEPS", {"x = y != MOST_STEPS"}),
        ("x = f(1.5, 2.0)", {"x = f(2.5, 2.0)", "x = f(1.5, 3.0)"}),
        ("x = f(a, k=True)", {"x = f(a)", "x = f(a, k=False)"}),
        ("x = np.zeros(a, dtype=np.int32)", {"x = np.zeros(a)"}),
    ],
)
def test_each_fault_is_planted_alone(mutations: Any, source: str, planted: set[str]) -> None:
    assert variants(mutations, source) == planted


def test_a_dropped_guard_still_leaves_what_it_guarded(mutations: Any) -> None:
    source = "def f(a):\n    if a:\n        raise Reject('too many')\n    return a"
    assert variants(mutations, source) == {"def f(a):\n    pass\n    return a"}


@pytest.mark.parametrize(
    "source",
    [
        '"""Docstring with 1 number."""',
        "x: Annotated[int, 3]",
        "def f(x: Literal[1]) -> Literal[2]:\n    return x",
        "__all__ = ['a', 'b']",
        "raise Reject(f'{a - b} of {1}')",
        "assert a is not None",
        "@dataclass(frozen=True)\nclass C:\n    x: int",
        "zip_ = zip(a, b[c], strict=s)",
        "from a import b",
        "isinstance_ = isinstance(a, int)",
        "zip_ = zip(a, strict=True)",
        "MOST_STEPS = 16",
        "_MAX_BYTES: int = 1 << 20",
        "PROBES = np.array([-1.0, 0.5, 1.0, 2.5, 7.0])",
        "numbers = np.random.default_rng(3)",
        "x = np.array(a, dtype=np.int64)",
        "x = tape.ints(a, 3)",
        "x = op('Add', var('x'), const('c'))",
        "x = op(('Max', 'Min'), var('x'), const('c'))",
        "x = tape.op('Mul', [a, b])",
        "x = tape.ints(a, b or 'axes')",
    ],
)
def test_what_computes_nothing_is_left_alone(mutations: Any, source: str) -> None:
    assert variants(mutations, source) == set()


def test_planting_tells_the_statement_before_and_after(mutations: Any) -> None:
    source = "def f(x):\n    if x > 2:\n        return x\n    g(x)\n"
    told = [mutations.planted(source, index)[1:] for index in range(5)]
    assert told == [
        ("if x > 2: return x", "guard dropped"),
        ("if x > 2: return x", "if x >= 2: return x"),
        ("if x > 2: return x", "if x > 3: return x"),
        ("if x > 2: return x", "if x > 1: return x"),
        ("g(x)", "statement dropped"),
    ]


def test_lines_are_those_of_the_statement_s_head(mutations: Any) -> None:
    source = "LIMIT = 3\ndef f(x):\n    if (x\n            > 2):\n        return x - 1\n"
    lines = {(each.kind, each.lines) for each in mutations.mutations(ast.parse(source))}
    assert ("constant + 1", None) in lines
    assert ("comparison", (3, 4)) in lines
    assert ("operator", (5, 5)) in lines
