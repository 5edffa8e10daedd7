"""Loops that never end, nest, or let a value grow with each turn."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.testing.hostile.build import body
from graphopt.testing.hostile.case import Case

_TIME = "takes longer than"
_BODY = "body = b (int64 i, bool go, float[K] a) => (bool more, float[L] next)"
_FREE = "float[M] y"
_OPEN = "bool t = {1}"


def cases() -> Iterator[Case]:
    """Loops with a constant number of turns, a condition that stays true, and bodies that grow."""
    keep = "more = Identity(go)"
    yield Case("endless-2-to-the-62", _loop(1 << 62, f"{keep} next = Add(a, a)"), _TIME)
    yield Case("endless-negative-count", _loop(-1, f"{keep} next = Add(a, a)"))
    yield Case(
        "while-true",
        body(f"y = Loop (, t, x) <{_BODY} {{ {keep} next = Add(a, a) }}>", outputs=_FREE, initializers=_OPEN),
        _TIME,
    )
    yield Case("empty-body", _loop(1 << 62, f"{keep} next = Identity(a)"), _TIME)
    yield Case("doubling", _loop(1 << 62, f"{keep} next = Concat <axis = 0> (a, a)"), "memory")
    yield Case("doubling-30", _loop(30, f"{keep} next = Concat <axis = 0> (a, a)"), "memory")
    yield Case("nested", _nested(4), _TIME)
    yield Case("scan-outputs", _collecting(1 << 62, 2), "running the model to check it takes")
    yield Case("large-scan-outputs", _collecting(1000, 1_000_000), "memory")
    yield Case(
        "count-from-input",
        body(
            f"y = Loop (n, t, x) <{_BODY} {{ {keep} next = Add(a, a) }}>", "float[2] x, int64 n", _FREE, _OPEN
        ),
    )
    yield Case("sequence-grows", _sequence(), _TIME)
    yield Case("scan-of-many", body(_SCAN, "float[20000,2] x", "float[2] y", "float[2] s = {0, 0}"))


_SCAN = """y = Scan <num_scan_inputs = 1,
    body = b (float[2] a, float[2] e) => (float[2] n) { n = Add(a, e) }> (s, x)"""


def _loop(count: int, nodes: str) -> bytes:
    return body(
        f"y = Loop (n, t, x) <{_BODY} {{ {nodes} }}>",
        outputs=_FREE,
        initializers=f"int64 n = {{{count}}}, {_OPEN}",
    )


def _nested(depth: int) -> bytes:
    nodes = f"y{depth} = Add(a{depth - 1}, a{depth - 1})"
    for level in reversed(range(depth)):
        before = "x" if level == 0 else f"a{level - 1}"
        nodes = (
            f"y{level} = Loop (n, t, {before}) "
            f"<body = b{level} (int64 i{level}, bool g{level}, float[2] a{level}) "
            f"=> (bool m{level}, float[2] y{level + 1}) {{ m{level} = Identity(g{level}) {nodes} }}>"
        )
    return body(f"{nodes} y = Neg(y0)", initializers=f"int64 n = {{{1 << 62}}}, {_OPEN}")


def _collecting(count: int, size: int) -> bytes:
    return body(
        """last, y = Loop (n, t, x)
        <body = b (int64 i, bool go, float[2] a) => (bool more, float[2] next, float[L] out)
        { more = Identity(go) next = Neg(a) out = ConstantOfShape(s) }>""",
        outputs="float[K,L] y",
        initializers=f"int64 n = {{{count}}}, {_OPEN}, int64[1] s = {{{size}}}",
    )


def _sequence() -> bytes:
    return body(
        """e = SequenceConstruct(x) s = Loop (n, t, e) <body = b (int64 i, bool go, seq(float[2]) a)
        => (bool more, seq(float[2]) next) { more = Identity(go) next = SequenceInsert(a, x) }>
        y = ConcatFromSequence <axis = 0> (s)""",
        outputs=_FREE,
        initializers=f"int64 n = {{{1 << 62}}}, {_OPEN}",
    )
