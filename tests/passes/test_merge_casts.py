"""merge-casts: only chains whose first conversion loses nothing."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.testing import run_pass

NUMBERS = {
    "float16": 10, "bfloat16": 16, "float": 1, "double": 11, "bool": 9, "int8": 3, "uint8": 2, "int16": 5,
    "int32": 6, "int64": 7, "uint32": 12,
}  # fmt: skip


def chain(source: str, between: str, target: str) -> str:
    return f"""g ({source}[N, 7] x) => ({target}[N, 7] y) {{
        a = Cast<to = {NUMBERS[between]}>(x) y = Cast<to = {NUMBERS[target]}>(a)
    }}"""


@pytest.mark.parametrize(
    ("source", "between", "target"),
    [
        ("float16", "float", "double"),
        ("float16", "double", "int32"),
        ("bfloat16", "float", "float16"),
        ("float", "double", "bool"),
        ("bool", "float", "int64"),
        ("bool", "int8", "float"),
        ("int8", "float16", "int32"),
        ("int32", "int64", "int8"),
        ("int64", "int32", "int16"),  # both wrap
        ("int32", "uint32", "uint8"),
        ("int32", "double", "int64"),
        ("uint8", "float", "float16"),
    ],
)
def test_applies(source: str, between: str, target: str) -> None:
    inputs = () if "bfloat16" in (source, between, target) else None
    special = target.startswith(("int", "uint")) and source.startswith("float")
    run = run_pass(chain(source, between, target), "merge-casts", inputs=() if special else inputs)
    assert run.ops == ["Cast"]


@pytest.mark.parametrize(
    ("source", "between"), [("float", "double"), ("int32", "int64"), ("bool", "float"), ("uint8", "float16")]
)
def test_there_and_back_is_nothing(source: str, between: str) -> None:
    text = f"""g ({source}[N] x) => ({source}[N, 1] y) <int64[1] one = {{1}}> {{
        a = Cast<to = {NUMBERS[between]}>(x) b = Cast<to = {NUMBERS[source]}>(a) y = Unsqueeze(b, one)
    }}"""
    assert run_pass(text, "merge-casts").ops == ["Unsqueeze"]


@pytest.mark.parametrize(
    ("source", "between", "target"),
    [
        ("float", "int64", "float"),  # drops the fraction
        ("float", "int32", "double"),
        ("double", "float", "float16"),  # rounds twice
        ("float", "float16", "float"),
        ("float16", "bfloat16", "float"),
        ("int64", "int32", "int64"),
        ("int64", "float", "int64"),
        ("int64", "int32", "bool"),  # 2**32 is true
        ("uint8", "float", "int8"),  # 200.0 does not wrap
        ("int16", "float16", "float"),
        ("float", "bool", "float"),
        ("int8", "uint8", "float"),
    ],
)
def test_refuses(source: str, between: str, target: str) -> None:
    run = run_pass(chain(source, between, target), "merge-casts", inputs=())
    assert run.ops == ["Cast", "Cast"]
    assert run.refusals == {
        f"cast-of-cast: {name(source)} -> {name(between)} -> {name(target)} is not the same as "
        f"{name(source)} -> {name(target)}": 1
    }


def name(dtype: str) -> str:
    return str(ir.DataType(NUMBERS[dtype]))


def test_a_first_cast_with_other_users_stays_beside() -> None:
    text = """g (float16[N] x) => (double[N] y, float[N] z) {
        a = Cast<to = 1>(x) y = Cast<to = 11>(a) z = Neg(a)
    }"""
    assert sorted(run_pass(text, "merge-casts").ops) == ["Cast", "Cast", "Neg"]
