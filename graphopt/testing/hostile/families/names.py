"""Names: missing, repeated, hidden by others, in no encoding, made to confuse a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphopt.testing.hostile.build import body, data, field, model, node, tensor, text, value
from graphopt.testing.hostile.case import Case

_TWO: dict[str, Any] = {"float_data": [1.0, 2.0]}
_ODD = {
    "nul": "a\0b",
    "newlines": "a\nb\r\nc",
    "escapes": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "markup": "[bold]x[/bold] [/] [link=file:///]",
    "backspaces": "good\b\b\b\bevil",
    "right-to-left": "a\u202egpj.exe",
    "quotes": "'\"\\`$(touch x)",
    "spaces": "   ",
    "path": "../../outside/x",
    "digits": "0",
    "emoji": "\U0001f4a9" * 100,
}


def cases() -> Iterator[Case]:
    """Names of values, nodes, inputs, operators and domains."""
    for kind, name in {**_ODD, "long": "n" * 1_000_000}.items():
        yield Case(f"values-{kind}", _named(name))
        yield Case(f"inputs-{kind}", data(model([node("Neg", [name])], [value(name)])))
        yield Case(f"operators-{kind}", data(model([node(name)])))
        yield Case(f"domains-{kind}", data(model([node("Neg", domain=name)])))
        yield Case(f"dims-{kind}", data(model([node("Neg")], [value("x", (name,))], [value("y", (name,))])))
        yield Case(f"metadata-{kind}", _metadata(name))
    yield Case("value-not-utf-8", _bytes_as_name(), "not UTF-8")
    yield Case(
        "output-without-name",
        data(model([node("Neg", outputs=[""])], outputs=[value("")])),
        "is defined by no node",
    )
    yield Case("input-without-name", data(model([node("Neg", [""])], [value("")])), "has no name")
    yield Case("inputs-of-one-name", data(model([node("Neg")], [value("x"), value("x")])), "named 'x'")
    yield Case("outputs-of-one-name", data(model([node("Neg")], outputs=[value("y"), value("y")])))
    yield Case("input-is-output", data(model([], [value("x")], [value("x")])))
    yield Case(
        "initializers-of-one-name",
        _initializers(_TWO, {"float_data": [3.0, 4.0]}),
        "two different initializers",
    )
    yield Case("same-initializer-twice", _initializers(_TWO, _TWO))
    yield Case(
        "nodes-of-one-name",
        data(model([node("Neg", ["x"], ["t"], name="n"), node("Abs", ["t"], ["y"], name="n")])),
    )
    yield Case("value-defined-twice", body("t = Neg(x) t = Abs(t) y = Exp(t)"))
    yield Case("defined-twice-out-of-order", body("y = Exp(t) t = Neg(x) t = Abs(x)"), "defines 't' twice")
    yield Case("input-defined-again", body("x = Neg(x) y = Abs(x)"))
    yield Case(
        "output-of-node-twice",
        data(model([node("Split", ["x"], ["t", "t"], axis=0), node("Neg", ["t"], ["y"])])),
    )
    yield Case("weight-defined-again", body("w = Neg(x) y = Add(x, w)", initializers="float[2] w = {1, 2}"))
    yield Case("hidden-by-branch", _branch("x = Exp(k) p = Neg(x)"))
    yield Case("hidden-in-both-branches", _branch("y = Exp(k) p = Neg(y)"))
    yield Case("branch-returns-outer", _branch("q = Exp(k)", "k"))
    yield Case("function-and-value", data(text(_SAME_EVERYWHERE)))


def _named(name: str) -> bytes:
    return data(model([node("Neg", ["x"], [name], name=name), node("Abs", [name], ["y"], name=name + "2")]))


def _metadata(name: str) -> bytes:
    made = model([node("Neg", doc_string=name)])
    made.producer_name = made.producer_version = made.domain = made.doc_string = made.graph.name = name
    made.metadata_props.add(key=name, value=name)
    made.metadata_props.add(key=name, value="again")
    return data(made)


def _bytes_as_name() -> bytes:
    """A node whose output is no text: field 2 of NodeProto, in field 1 of GraphProto, in field 7."""
    return data(model([node("Neg")])) + field(7, field(1, field(2, b"\xff\xfe") + field(4, b"Neg")))


def _initializers(*fields: dict[str, Any]) -> bytes:
    return data(model([node("Add", ["x", "w"])], initializers=[tensor("w", [2], **each) for each in fields]))


def _branch(nodes: str, result: str = "p") -> bytes:
    return body(
        f"""k = Neg(x) y = If (c) <then_branch = t () => (float[2] {result}) {{ {nodes} }},
        else_branch = f () => (float[2] r) {{ r = Abs(k) }}>""",
        inputs="float[2] x, bool c",
    )


_SAME_EVERYWHERE = """y (float[2] x) => (float[2] y) { y = local.x(x) }
    <domain: "local", opset_import: ["" : 17]> x (y) => (x) { x = Neg(y) }"""
