"""Inputs from files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from graphopt.errors import UsageError
from graphopt.execute import load_inputs

MODEL = ir.from_onnx_text(
    '<ir_version: 8, opset_import: ["": 17]> '
    "g (float[N, 3] a, int64[N] b) => (float[N, 3] y) { y = Neg(a) z = Neg(b) }"
)
GOOD: dict[str, Any] = {"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.int64)}


def test_a_mapping_is_one_set() -> None:
    (one,) = load_inputs(GOOD, MODEL)
    assert one.bindings == {"N": 2}
    assert list(one.values) == ["a", "b"]


def test_numbered_arrays_stand_for_the_inputs_in_the_order_of_their_numbers() -> None:
    (one,) = load_inputs({"input_10": GOOD["b"], "input_9": GOOD["a"]}, MODEL)
    assert one.values["a"] is GOOD["a"] and one.values["b"] is GOOD["b"]
    with pytest.raises(UsageError, match="'left', which is not an input"):
        load_inputs({"left": GOOD["a"], "right": GOOD["b"]}, MODEL)


def test_an_archive_is_one_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **GOOD)
    (one,) = load_inputs(tmp_path / "in.npz", MODEL)
    assert one.description.startswith("in.npz")
    assert np.array_equal(one.values["b"], GOOD["b"])


def test_an_array_file_is_the_only_input(tmp_path: Path) -> None:
    made = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Neg(x) }'
    )
    np.save(tmp_path / "data.npy", np.ones(4, np.float32))
    assert load_inputs(tmp_path / "data.npy", made)[0].values["x"].shape == (4,)


def test_a_folder_of_archives_is_many_sets(tmp_path: Path) -> None:
    for index in range(3):
        np.savez(tmp_path / f"{index}.npz", **GOOD)
    assert len(load_inputs(tmp_path, MODEL)) == 3


def test_a_folder_of_arrays_is_one_set(tmp_path: Path) -> None:
    for name, array in GOOD.items():
        np.save(tmp_path / f"{name}.npy", array)
    assert len(load_inputs(tmp_path, MODEL)) == 1


def test_onnx_data_sets_are_read_in_order(tmp_path: Path) -> None:
    for index in (0, 2, 10):
        folder = tmp_path / f"test_data_set_{index}"
        folder.mkdir()
        arrays: list[np.ndarray[Any, Any]] = [np.full((2, 3), index, np.float32), np.ones(2, np.int64)]
        for position, array in enumerate(arrays):
            (folder / f"input_{position}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())
    assert [one.values["a"][0, 0] for one in load_inputs(tmp_path, MODEL)] == [0, 2, 10]
    assert len(load_inputs(tmp_path / "test_data_set_2", MODEL)) == 1


def test_sequences_in_data_sets(tmp_path: Path) -> None:
    made = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 17]> '
        "g (seq(float[N]) s) => (float[M] y) { y = ConcatFromSequence<axis=0>(s) }"
    )
    sequence = numpy_helper.from_list([np.ones(2, np.float32), np.ones(3, np.float32)], name="s")
    (tmp_path / "input_0.pb").write_bytes(sequence.SerializeToString())
    assert [len(item) for item in load_inputs(tmp_path, made)[0].values["s"]] == [2, 3]


def test_bfloat16_survives_numpy_files(tmp_path: Path) -> None:
    made = ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["": 17]> g (bfloat16[N] x) => (float[N] y) { y = Cast<to=1>(x) }'
    )
    np.savez(tmp_path / "in.npz", x=np.ones(2, ml_dtypes.bfloat16))
    assert load_inputs(tmp_path / "in.npz", made)[0].values["x"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": np.ones(1)}, "'c', which is not an input"),
        ({"a": np.ones((2, 3))}, "'a' .*type float64, expected float32"),
        ({"a": np.ones((2, 4), np.float32)}, "'a' .*shape 2x4, expected Nx3"),
        ({"a": np.ones(3, np.float32)}, "'a' .*shape 3, expected Nx3"),
        ({"b": np.ones(5, np.int64)}, "'b' .*shape 5, expected N"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_inputs({**GOOD, **change}, MODEL)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(UsageError, match="lack 'b'"):
        load_inputs({"a": GOOD["a"]}, MODEL)


def test_unreadable_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK but no archive")
    (tmp_path / "text.txt").write_text("1 2 3")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    for name in ("bad.npz", "text.txt", "empty", "absent.npz", "pickled.npy"):
        with pytest.raises(UsageError, match=name.split(".")[0]):
            load_inputs(tmp_path / name)


def test_a_damaged_data_set_is_refused(tmp_path: Path) -> None:
    tensor = onnx.helper.make_tensor("a", onnx.TensorProto.FLOAT, [4], b"\x00" * 16, raw=True)
    (tmp_path / "input_0.pb").write_bytes(tensor.SerializeToString()[:-3])
    with pytest.raises(UsageError, match=r"input_0\.pb"):
        load_inputs(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 and no more", b"\x93NUMPY\x01"])
def test_a_damaged_file_is_told_in_our_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="it is damaged") as caught:
        load_inputs(path)
    assert "pickle" not in str(caught.value) and "savez" in (caught.value.hint or "")


@pytest.mark.parametrize("given", [np.float64, np.int64])
def test_numbers_of_another_type_come_with_the_conversion(given: type) -> None:
    with pytest.raises(UsageError, match="expected float32") as caught:
        load_inputs({**GOOD, "a": np.ones((2, 3), given)}, MODEL)
    assert caught.value.hint == "convert it with .astype(np.float32)"


def test_no_conversion_that_changes_what_is_meant() -> None:
    for odd in ({**GOOD, "b": np.ones(2)}, {**GOOD, "a": np.full((2, 3), "text")}):
        with pytest.raises(UsageError, match="expected") as caught:
            load_inputs(odd, MODEL)
        assert caught.value.hint is None
