"""Functions: recursive, missing, twice there, and ones that grow without end as they are inlined."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.testing.hostile.build import data, text
from graphopt.testing.hostile.case import Case

_CALL = "g (float[2] x) => (float[2] y) { y = local.f0(x) }"
_DOMAIN = '<domain: "local", opset_import: ["" : 17, "local" : 1]>'


def cases() -> Iterator[Case]:
    """Functions that cannot or should not be inlined."""
    yield Case("calls-itself", _model("f0 (a) => (b) { b = local.f0(a) }"), "in a circle: f0 -> f0")
    yield Case(
        "call-each-other",
        _model("f0 (a) => (b) { b = local.f1(a) }", "f1 (a) => (b) { b = local.f0(a) }"),
        "in a circle: f0 -> f1 -> f0",
    )
    circle = [f"f{index} (a) => (b) {{ b = local.f{(index + 1) % 3000}(a) }}" for index in range(3000)]
    yield Case("circle-of-3000", _model(*circle), "in a circle")
    yield Case("calls-itself-in-a-branch", _model(_BRANCH), "in a circle")
    for width, depth in ((2, 30), (10, 9)):
        yield Case(f"laughs-{width}-to-the-{depth}", _model(*_laughs(width, depth)), "would grow to")
    yield Case("laughs-2-to-the-8", _model(*_laughs(2, 8)))
    yield Case("chain-of-90", _model(*_laughs(1, 90)))
    for depth in (500, 5000):
        yield Case(f"chain-of-{depth}", _model(*_laughs(1, depth)), f"each other {depth} deep")
    yield Case("laughs-2-to-the-5000", _model(*_laughs(2, 5000)), "each other 5000 deep")
    yield Case(
        "twice", _model("f0 (a) => (b) { b = Neg(a) }", "f0 (a) => (b) { b = Abs(a) }"), "two functions"
    )
    yield Case("unfit", _model("f0 (a, c, d) => (b, e) { b = Neg(a) e = Abs(c) }"))
    yield Case("too-many-inputs", _model("f0 () => (b) { b = Constant <value_float = 1.0> () }"), "inputs")
    yield Case("undefined-output", _model("f0 (a) => (b) { c = Neg(a) }"), "is defined by no node")
    yield Case(
        "undefined-input", _model("f0 (a) => (b) { b = Neg(nowhere) }"), "no node, input or initializer"
    )
    yield Case("named-as-standard", data(text(_STANDARD)))
    yield Case(
        "missing-attribute", _model("f0 <slope> (a) => (b) { b = LeakyRelu <alpha: float = @slope> (a) }")
    )
    yield Case("unknown-reference", _model("f0 (a) => (b) { b = LeakyRelu <alpha: float = @none> (a) }"))
    yield Case(
        "reads-around-itself", _model("f0 (a) => (b) { b = Add(a, x) }"), "no node, input or initializer"
    )


_BRANCH = """f0 (a) => (b) { c = Cast <to = 9> (a) d = ReduceMax <keepdims = 0> (a) e = Cast <to = 9> (d)
    b = If (e) <then_branch = t () => (p) { p = local.f0(a) }, else_branch = u () => (q) { q = Neg(a) }> }"""
_STANDARD = """g (float[2] x) => (float[2] y) { y = Neg(x) } <domain: "", opset_import: ["" : 17]>
    Neg (a) => (b) { b = Abs(a) }"""


def _model(*functions: str) -> bytes:
    return data(text(" ".join([_CALL, *(f"{_DOMAIN} {function}" for function in functions)])))


def _laughs(width: int, depth: int) -> list[str]:
    """Each function calls the next so many times, one behind the other."""
    found = []
    for level in range(depth):
        called = "Neg" if level + 1 == depth else f"local.f{level + 1}"
        calls = [f"t{call + 1} = {called}(t{call})" for call in range(width)]
        found.append(f"f{level} (t0) => (t{width}) {{ {' '.join(calls)} }}")
    return found
