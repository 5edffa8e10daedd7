"""Models in ONNX's text, textproto and JSON forms that are wrong, deep or endless."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.testing.hostile.case import Case

_DEEP = 20_000
_HEADER = '<ir_version: 8, opset_import: ["" : 17]> g (bool c, float[2] x) => (float[2] y) '
_REFUSED = "is not a model in the"
_TOO_DEEP = "is nested more than"


def cases() -> Iterator[Case]:
    """Broken and adversarial texts."""
    for suffix in (".onnxtxt", ".textproto", ".json"):
        name = suffix.removeprefix(".")
        yield Case(f"{name}-prose", b"This is not a model.", _REFUSED, f"model{suffix}")
        yield Case(f"{name}-binary", bytes(range(256)) * 8, _REFUSED, f"model{suffix}")
        yield Case(f"{name}-empty", b"", "is empty", f"model{suffix}")
        yield Case(f"{name}-braces", b"{" * _DEEP, _TOO_DEEP, f"model{suffix}")
        yield Case(f"{name}-brackets", b"[" * _DEEP, _TOO_DEEP, f"model{suffix}")
    yield Case("json-deep", b'{"graph":' * _DEEP + b"1" + b"}" * _DEEP, _TOO_DEEP, "model.json")
    yield Case("json-deep-lists", b'{"graph":' + b"[" * _DEEP, _TOO_DEEP, "model.json")
    yield Case(
        "textproto-deep", b"graph { node { attribute { g {" * (_DEEP // 4), _TOO_DEEP, "model.textproto"
    )
    yield Case("json-number", b'{"irVersion":"1e999999"}', _REFUSED, "model.json")
    yield Case("json-digits", b'{"irVersion":' + b"9" * 50_000 + b"}", _REFUSED, "model.json")
    yield Case("onnxtxt-deep-if", _deep_ifs(5_000), _TOO_DEEP, "model.onnxtxt")
    yield Case("onnxtxt-deep-type", _deep_type(_DEEP), _TOO_DEEP, "model.onnxtxt")
    yield Case(
        "onnxtxt-number", _with("y = Add <a = 99999999999999999999999> (x, x)"), _REFUSED, "model.onnxtxt"
    )
    yield Case("onnxtxt-float", _with("y = Elu <alpha = 1e99999> (x)"), _REFUSED, "model.onnxtxt")
    yield Case("onnxtxt-unclosed", _with('y = Add <a = "'), _REFUSED, "model.onnxtxt")
    yield Case(
        "onnxtxt-dims",
        _HEADER.encode() + b"<float[99999999999] w = {1}> { y = Add(x, w) }",
        "expected 99999999999 elements",
        "model.onnxtxt",
    )


def _with(nodes: str) -> bytes:
    return f"{_HEADER} {{ {nodes} }}".encode()


def _deep_ifs(depth: int) -> bytes:
    opening = "y = If (c) <then_branch = t () => (float[2] y) { "
    return f"{_HEADER} {{ {opening * depth}".encode()


def _deep_type(depth: int) -> bytes:
    return f'<ir_version: 8, opset_import: ["" : 17]> g ({"seq(" * depth}float'.encode()
