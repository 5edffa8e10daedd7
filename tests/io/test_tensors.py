"""Stored tensors: what is declared against what is there, without allocating what is declared."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graphopt.errors import GraphoptError, LoadError, ModelError
from graphopt.io import load, save
from graphopt.io.load import load_with_notes

FLOAT = onnx.TensorProto.FLOAT


def model(weight: onnx.TensorProto) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> agraph (float[N] x) => (float[N] y) { y = Add(x, w) }'
    )
    weight.name = "w"
    proto.graph.initializer.append(weight)
    return proto


def refused(weight: onnx.TensorProto, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load(model(weight))
    assert "'w'" in str(caught.value)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([3], r"FLOAT \[3\]: expected 12 bytes, found 8"),
        ([1], "expected 4 bytes, found 8"),
        ([-2], "negative dimension"),
        ([2**40], "expected 4398046511104 bytes, found 8"),
        ([2**62, 2**62], "more than any machine can address"),
        ([0, 2**62, 2**62], "more than any machine can address"),
    ],
)
def test_dims_that_do_not_fit_the_bytes(dims: list[int], message: str) -> None:
    refused(onnx.TensorProto(data_type=FLOAT, dims=dims, raw_data=bytes(8)), message)


def test_nothing_is_allocated_by_a_declared_size() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for field in ({"raw_data": bytes(8)}, {"float_data": [1.0]}, {}):
        refused(onnx.TensorProto(data_type=FLOAT, dims=[2**31], **field), "found")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (onnx.TensorProto(data_type=0, dims=[2], raw_data=bytes(8)), "element type 0"),
        (onnx.TensorProto(data_type=77, dims=[2], raw_data=bytes(8)), "element type 77"),
        (onnx.TensorProto(data_type=27, dims=[4], raw_data=bytes(3)), "element type 27"),
        (onnx.TensorProto(data_type=FLOAT, dims=[2], float_data=[1.0]), "expected 2 elements, found 1"),
        (onnx.TensorProto(data_type=FLOAT, dims=[2], int64_data=[1, 2]), "holds its data in int64_data"),
        (onnx.TensorProto(data_type=FLOAT, dims=[2], raw_data=bytes(8), float_data=[1, 2]), "data twice"),
        (onnx.TensorProto(data_type=8, dims=[2], string_data=[b"a"]), "expected 2 elements, found 1"),
        (onnx.TensorProto(data_type=8, dims=[2], raw_data=b"ab"), "strings as raw bytes"),
        (onnx.TensorProto(data_type=22, dims=[3], raw_data=bytes(3)), "expected 2 bytes, found 3"),
        (onnx.TensorProto(data_type=14, dims=[2], float_data=[1, 2]), "expected 4 elements, found 2"),
    ],
)
def test_data_that_contradicts_its_type(tensor: onnx.TensorProto, message: str) -> None:
    refused(tensor, message)


@pytest.mark.parametrize("data_type", sorted(set(onnx.TensorProto.DataType.values()) - {0, 8, 27, 28}))
@pytest.mark.parametrize("dims", [(), (0,), (3,), (2, 3)])
def test_every_element_type_raw(data_type: int, dims: tuple[int, ...]) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(data_type)
    tensor = onnx.numpy_helper.from_array(np.zeros(dims, dtype), "w")
    assert tensor.data_type == data_type
    loaded = load(model(tensor)).graph.initializers["w"].const_value
    assert loaded is not None
    assert loaded.numpy().shape == dims


@pytest.mark.parametrize("data_type", sorted(set(onnx.TensorProto.DataType.values()) - {0, 27, 28}))
def test_every_element_type_as_numbers(data_type: int) -> None:
    values: list[Any] = [b"a", b"b", b"c"] if data_type == onnx.TensorProto.STRING else [0, 1, 1]
    tensor = onnx.helper.make_tensor("w", data_type, [3], values)
    loaded = load(model(tensor)).graph.initializers["w"].const_value
    assert loaded is not None
    assert loaded.numpy().shape == (3,)


def test_tensor_of_an_attribute() -> None:
    proto = model(onnx.numpy_helper.from_array(np.zeros(1, np.float32)))
    bad = onnx.TensorProto(data_type=FLOAT, dims=[5], raw_data=bytes(4))
    proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["c"], value=bad))
    with pytest.raises(ModelError, match="'value' of Constant of 'c' is FLOAT"):
        load(proto)


def sparse(
    values: list[float], indices: list[int] | list[list[int]], dims: list[int]
) -> onnx.SparseTensorProto:
    return onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(np.array(values, np.float32), "w"),
        onnx.numpy_helper.from_array(np.array(indices, np.int64), "i"),
        dims,
    )


def sparse_model(tensor: onnx.SparseTensorProto) -> onnx.ModelProto:
    proto = model(onnx.TensorProto())
    del proto.graph.initializer[:]
    proto.graph.sparse_initializer.append(tensor)
    return proto


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_initializer_is_kept_dense(indices: list[int] | list[list[int]]) -> None:
    loaded, notes = load_with_notes(sparse_model(sparse([2.0, 3.0], indices, [2, 3])))
    tensor = loaded.graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), [[0, 2, 0], [0, 0, 3]])
    assert notes == ["the sparse initializer 'w' is written out with its zeros"]


def test_sparse_constant_is_kept_dense() -> None:
    proto = model(onnx.numpy_helper.from_array(np.zeros(1, np.float32)))
    node = onnx.helper.make_node("Constant", [], ["c"], sparse_value=sparse([2.0], [1], [3]))
    proto.graph.node.insert(0, node)
    tensor = load(proto).graph.node(0).attributes["value"].as_tensor()
    np.testing.assert_array_equal(tensor.numpy(), [0, 2, 0])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (sparse([1.0], [9], [2, 3]), "indices outside"),
        (sparse([1.0], [-1], [2, 3]), "indices outside"),
        (sparse([1.0], [[1, 3]], [2, 3]), "indices outside"),
        (sparse([1.0], [1, 2], [2, 3]), "indices of shape"),
        (sparse([1.0], [1], [2**30, 2**30]), "bytes when dense"),
        (sparse([1.0], [1], [-1]), "negative dimension"),
    ],
)
def test_bad_sparse_tensor(tensor: onnx.SparseTensorProto, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(sparse_model(tensor))


def external_model(folder: Path, **entries: object) -> Path:
    """A model in `folder` whose weight of 4 floats is external data with these entries."""
    weight = onnx.TensorProto(data_type=FLOAT, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in entries.items():
        weight.external_data.add(key=key, value=str(value))
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model(weight).SerializeToString())
    return path


def weights_of(path: Path) -> list[float]:
    tensor = load(path).graph.initializers["w"].const_value
    assert tensor is not None
    return list(map(float, tensor.numpy()))


DATA = np.arange(4, dtype=np.float32).tobytes()


def test_external_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = external_model(tmp_path, location="sub/w.bin", offset=16, length=16)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(bytes(16) + DATA)
    assert weights_of(path) == [0, 1, 2, 3]
    monkeypatch.chdir(tmp_path)
    assert weights_of(Path("model.onnx")) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        ({"location": "missing.bin"}, LoadError, "missing.bin', which cannot be read"),
        ({"location": "w.bin", "offset": 8}, LoadError, "needs bytes 8 to 24 of .*w.bin', which has 16"),
        ({"location": "w.bin", "offset": "10e3"}, ModelError, "offset '10e3'"),
        ({"location": "w.bin", "offset": -4}, ModelError, "offset '-4'"),
        ({"location": "w.bin", "length": 8}, ModelError, "expected external data of 16 bytes, found 8"),
        ({"location": "w.bin", "offset": 10**30}, LoadError, "needs bytes"),
        ({"location": ""}, LoadError, "outside the folder"),
        ({}, LoadError, "outside the folder"),
        ({"location": "/etc/passwd"}, LoadError, "outside the folder"),
        ({"location": "../outside.bin"}, LoadError, "outside the folder"),
        ({"location": "sub/../../outside.bin"}, LoadError, "outside the folder"),
        ({"location": "C:\\weights.bin"}, LoadError, "outside the folder"),
        ({"location": "link.bin"}, LoadError, "outside the folder"),
        ({"location": "linked/outside.bin"}, LoadError, "outside the folder"),
        ({"location": "sub"}, LoadError, "not a regular file"),
        ({"location": "hard.bin"}, LoadError, "hard links"),
    ],
)
def test_external_data_refused(
    tmp_path: Path, entries: dict[str, object], error: type[GraphoptError], message: str
) -> None:
    folder = tmp_path / "model"
    path = external_model(folder, **entries)
    (folder / "w.bin").write_bytes(DATA)
    (folder / "sub").mkdir()
    (tmp_path / "outside.bin").write_bytes(DATA)
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.link(tmp_path / "outside.bin", folder / "hard.bin")
    with pytest.raises(error, match=message):
        load(path)


def test_model_and_data_that_are_links_into_a_download_cache(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    real = external_model(blobs, location="model.onnx.data")
    real.rename(blobs / "aaaa")
    (blobs / "bbbb").write_bytes(DATA)
    snapshot.mkdir()
    (snapshot / "model.onnx").symlink_to("../blobs/aaaa")
    (snapshot / "model.onnx.data").symlink_to("../blobs/bbbb")
    assert weights_of(snapshot / "model.onnx") == [0, 1, 2, 3]


def test_external_data_without_a_file() -> None:
    weight = onnx.TensorProto(data_type=FLOAT, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="w.bin")
    with pytest.raises(LoadError, match="came without a folder") as caught:
        load(model(weight))
    assert caught.value.hint == "give the path of the model instead"


def test_external_data_is_not_read_when_loading(tmp_path: Path) -> None:
    path, data = external_model(tmp_path, location="w.bin"), tmp_path / "w.bin"
    data.write_bytes(DATA)
    loaded, then = load(path), data.stat()
    data.write_bytes(np.ones(4, np.float32).tobytes())
    os.utime(data, ns=(then.st_atime_ns, then.st_mtime_ns))  # or saving would refuse what was changed
    save(loaded, tmp_path / "copy.onnx", external_data=False)
    assert weights_of(tmp_path / "copy.onnx") == [1, 1, 1, 1]
