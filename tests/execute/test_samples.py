"""Calibration data: every form becomes sets of inputs that fit the model, again and again, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import Samples

ONE = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,4] x) => (float[1,3,4] y) { y = Relu(x) }'
TWO = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2] x, int64 rate) => (float[N,2] y) { r = Cast <to = 1> (rate)  y = Mul(x, r) }"""
STACK = np.arange(60, dtype=np.float32).reshape(5, 3, 4)


def taken(source: Any, text: str = ONE) -> list[dict[str, Any]]:
    samples = Samples(source, ir.from_onnx_text(text))
    first: list[dict[str, Any]] = list(samples)
    again = list(samples)
    assert len(samples) == len(first) == len(again)
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    return first


def arrays() -> Iterator[np.ndarray[Any, Any]]:
    yield from (row[None] for row in STACK)


@pytest.mark.parametrize(
    "source",
    [
        {"x": STACK},
        {"x": STACK[:, None]},
        [{"x": row[None]} for row in STACK],
        [row[None] for row in STACK],
        [(row[None], "label is ignored") for row in STACK],
        arrays,
        arrays(),
        [{"x": STACK[:2]}, {"x": STACK[2:]}],
    ],
    ids=["stack", "batches", "mappings", "arrays", "tuples", "function", "generator", "stacks"],
)
def test_every_form_gives_the_same_samples(source: Any) -> None:
    found = taken(source)
    assert np.array_equal(np.concatenate([each["x"] for each in found]), STACK)
    assert {each["x"].shape for each in found} == {(1, 3, 4)}


def test_files_and_folders(tmp_path: Path) -> None:
    for index, row in enumerate(STACK):
        np.savez(tmp_path / f"{index}.npz", x=row[None])
    assert len(taken(tmp_path)) == 5
    np.savez(tmp_path / "0.npz", x=STACK)
    assert len(taken(tmp_path / "0.npz")) == 5 and len(taken(tmp_path)) == 9


@pytest.mark.parametrize(
    ("dim", "count"), [("batch", 6), ("batch_size", 6), ("N", 6), ("length", 1), ("time", 1)]
)
def test_a_file_for_any_batch_holds_samples(dim: str, count: int, tmp_path: Path) -> None:
    text = TWO.replace("N", dim)
    x, rate = np.ones((6, 2), np.float32), np.array(2)
    np.savez(tmp_path / "all.npz", x=x, rate=rate)
    found = taken(tmp_path / "all.npz", text)
    assert len(found) == count and {each["x"].shape for each in found} == {(6 // count, 2)}
    assert len(taken([{"x": x, "rate": rate}], text)) == len(taken(tmp_path, text)) == 1  # each is a sample


@pytest.mark.parametrize(("shape", "count"), [("s77,3,4,4", 6), ("rows,3,4", 1)])
def test_the_first_axis_of_images_is_a_batch_whatever_it_is_called(
    shape: str, count: int, tmp_path: Path
) -> None:
    text = f"agraph (float[{shape}] x) => (float[{shape}] y) {{ y = Relu(x) }}"
    sizes = [6, *map(int, shape.split(",")[1:])]
    np.save(tmp_path / "all.npy", np.ones(sizes, np.float32))
    assert len(taken(tmp_path / "all.npy", text)) == count


def test_arrays_of_a_folder_are_samples_unless_they_are_named_as_the_inputs(tmp_path: Path) -> None:
    for index, row in enumerate(STACK):
        np.save(tmp_path / f"{index}.npy", row[None])
    assert len(taken(tmp_path)) == 5
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    np.save(inputs / "x.npy", np.ones((7, 2), np.float32))
    np.save(inputs / "rate.npy", np.array(2))
    (one,) = taken(inputs, TWO)
    assert one["x"].shape == (7, 2) and one["rate"] == 2


def test_a_dynamic_batch_is_one_sample_and_scalars_belong_to_all() -> None:
    (one,) = taken({"x": np.ones((6, 2), np.float32), "rate": np.array(2)}, TWO)
    assert one["x"].shape == (6, 2)
    found = taken({"x": np.ones((6, 1, 2), np.float32), "rate": np.array(2)}, TWO)
    assert len(found) == 6 and all(each["rate"] == 2 for each in found)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "hold no sample"),
        ({"x": STACK.astype(np.float64)}, "has type float64, expected float32"),
        ({"x": STACK[:, :2]}, "has shape 5x2x4, expected 1x3x4"),
    ],
)
def test_what_does_not_fit_is_told(source: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        taken(source)


def test_two_parts_have_no_sample_in_common_and_few_samples_serve_as_both() -> None:
    samples = Samples({"x": np.repeat(STACK, 2, axis=0)}, ir.from_onnx_text(ONE))
    one, other = samples.split(4)
    assert len(list(one)) == 8 and len(list(other)) == len(list(other)) == 2
    one, other = samples.split(6)
    assert len(list(one)) == len(list(other)) == 10


def test_the_first_sample_says_what_it_is() -> None:
    first = Samples({"x": STACK}, ir.from_onnx_text(ONE)).first
    assert first.values["x"].shape == (1, 3, 4) and first.description == "calibration data"


def test_the_only_input_needs_no_name() -> None:
    assert len(taken({"images": STACK})) == 5


def test_samples_of_several_inputs_are_mappings_or_tuples() -> None:
    with pytest.raises(UsageError, match="the model has 2 inputs"):
        taken([np.ones((1, 2), np.float32)], TWO)
    with pytest.raises(UsageError, match="holds 1 arrays"):
        taken([(np.ones((1, 2), np.float32),)], TWO)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_not_a_number_is_refused_by_sample_and_input(tmp_path: Path, dtype: str) -> None:
    element = {"float32": 1, "float16": 10, "bfloat16": 16}[dtype]
    text = ONE.replace("float[", f"{'float' if element == 1 else dtype}[")
    good = STACK[:1].astype(ir.DataType(element).numpy())
    bad = good.copy()
    bad[0, 1, 2] = np.nan
    with pytest.raises(UsageError, match="input 'x' of sample 2 holds NaN"):
        taken([good, bad, good], text)
    np.savez(tmp_path / "a.npz", x=STACK[:1])
    np.savez(tmp_path / "b.npz", x=STACK[:1] * np.nan)
    with pytest.raises(UsageError, match=r"input 'x' of sample 2 \(b.npz\) holds NaN"):
        taken(tmp_path)


def test_infinities_may_mean_something() -> None:
    assert len(taken([STACK[:1], np.full((1, 3, 4), -np.inf, np.float32)])) == 2


def test_a_part_keeps_the_numbers_of_the_samples() -> None:
    samples = Samples({"x": np.repeat(STACK, 2, axis=0)}, ir.from_onnx_text(ONE))
    held_out = Samples(samples.split(4)[1], ir.from_onnx_text(ONE))
    assert [each.name for each in held_out] == ["sample 4", "sample 8"]


def test_what_is_bound_by_its_place_or_too_little_is_told(tmp_path: Path) -> None:
    def notes(source: Any) -> list[str]:
        samples = Samples(source, ir.from_onnx_text(ONE))
        assert len(samples)
        return samples.notes

    (note,) = notes([{"image": row[None]} for row in STACK])
    assert "call the input 'x' 'image'" in note
    assert notes({"x": STACK}) == []
    np.save(tmp_path / "anything.npy", STACK)
    assert notes(tmp_path) == notes(tmp_path / "anything.npy") == []
    (note,) = notes([STACK[:1]])
    assert "one sample only" in note


def test_a_folder_without_data_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no calibration data"):
        taken(tmp_path)
