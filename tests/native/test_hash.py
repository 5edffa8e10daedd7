"""The tensor hash: bit for bit the function stated here in plain Python, blind to storage and names."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from graphopt.native import hash_bytes, hash_tensor

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB


def mix(x: int) -> int:
    x = (x ^ x >> 30) * MIX_1 & MASK
    x = (x ^ x >> 27) * MIX_2 & MASK
    return x ^ x >> 31


KEYS = [mix((i + 1) * GOLDEN & MASK) for i in range(24)]


def reference(data: bytes) -> bytes:
    """The naive hash: stripes of 64 bytes, zero-padded; scrambled after every 16 of them and at the end."""
    acc = KEYS[:8]

    def scramble() -> None:
        for i in range(8):
            acc[i] = (acc[i] ^ acc[i] >> 47 ^ KEYS[16 + i]) * GOLDEN & MASK

    padded = data + bytes(-len(data) % 64)
    for stripe in range(len(padded) // 64):
        words = struct.unpack_from("<8Q", padded, 64 * stripe)
        for i, word in enumerate(words):
            keyed = word ^ KEYS[stripe % 16 + i]
            acc[i] = (acc[i] + words[i ^ 1] + (keyed & 0xFFFFFFFF) * (keyed >> 32)) & MASK
        if 64 * (stripe + 1) <= len(data) and stripe % 16 == 15:
            scramble()
    scramble()

    def finish(keys: list[int], seed: int) -> int:
        products = [(acc[i] ^ keys[i]) * (acc[i + 1] ^ keys[i + 1]) for i in range(0, 8, 2)]
        return mix((seed + sum(product >> 64 ^ product & MASK for product in products)) & MASK)

    length = len(data)
    return struct.pack("<2Q", finish(KEYS[:8], length * MIX_1), finish(KEYS[8:16], (~length & MASK) * MIX_2))


def random_bytes(count: int) -> bytes:
    return np.random.default_rng(count).bytes(count)


def test_known_digest_of_nothing() -> None:
    assert hash_bytes(b"").hex() == "37cfa090e4b5edbcae81e531f3222173"


@pytest.mark.parametrize("lengths", [range(301), range(1022, 1091), range(2047, 2050), [10_000]])
def test_equals_the_reference(lengths: list[int]) -> None:
    for length in lengths:
        data = random_bytes(length)
        assert hash_bytes(data) == reference(data), length


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_equals_the_reference_on_constant_bytes(byte: bytes) -> None:
    digests = {hash_bytes(byte * length) for length in range(300)}
    assert len(digests) == 300
    assert hash_bytes(byte * 1500) == reference(byte * 1500)


@pytest.mark.parametrize("offset", range(1, 17))
def test_alignment_plays_no_part(offset: int) -> None:
    data = random_bytes(1300)
    shifted = memoryview(bytes(offset) + data)[offset:]
    assert hash_bytes(shifted) == hash_bytes(data)


def test_every_bit_counts() -> None:
    data = bytearray(1100)
    digests = {hash_bytes(data)}
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        digests.add(hash_bytes(data))
        data[bit // 8] ^= 1 << bit % 8
    assert len(digests) == 8 * len(data) + 1


def test_order_of_words_counts() -> None:
    words = np.arange(512, dtype=np.uint64)
    digests = {hash_bytes(np.roll(words, shift)) for shift in range(512)}
    assert len(digests) == 512


def test_reads_any_buffer(tmp_path: Path) -> None:
    data = random_bytes(777)
    path = tmp_path / "data"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert hash_bytes(mapped) == hash_bytes(data)
    assert hash_bytes(bytearray(data)) == hash_bytes(data)
    assert hash_bytes(np.frombuffer(data, dtype=np.uint8)) == hash_bytes(data)


def test_arrays_are_hashed_in_c_order() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = hash_bytes(array.tobytes())
    assert hash_bytes(array) == expected
    assert hash_bytes(np.asfortranarray(array)) == expected
    assert hash_bytes(array[:, ::-1]) == hash_bytes(array[:, ::-1].tobytes())
    assert hash_bytes(np.array(2.5, dtype=np.float64)) == hash_bytes(struct.pack("<d", 2.5))
    assert hash_bytes(np.empty((0, 3), dtype=np.int8)) == hash_bytes(b"")


def test_refuses_what_has_no_bytes() -> None:
    with pytest.raises(TypeError, match="Python objects"):
        hash_bytes(np.array(["a"], dtype=object))
    with pytest.raises(TypeError):
        hash_bytes("text")  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        hash_bytes(memoryview(b"abcd")[::2])


def external(
    array: np.ndarray, dtype: ir.DataType, shape: tuple[int, ...], folder: Path
) -> ir.ExternalTensor:
    (folder / "weights").write_bytes(bytes(5) + array.tobytes())
    return ir.ExternalTensor(
        "weights", 5, array.nbytes, dtype, shape=ir.Shape(shape), name="external", base_dir=folder
    )


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.int64, np.bool_, ml_dtypes.bfloat16, np.complex64]
)
def test_storage_and_name_play_no_part(dtype: npt.DTypeLike, tmp_path: Path) -> None:
    array: npt.NDArray[Any] = np.arange(12).reshape(3, 4).astype(dtype)
    tensor = ir.Tensor(array, name="here")
    proto = ir.serde.TensorProtoTensor(ir.serde.serialize_tensor(ir.Tensor(array, name="there")))
    lazy = ir.LazyTensor(lambda: tensor, dtype=tensor.dtype, shape=tensor.shape)
    stored = external(array, tensor.dtype, array.shape, tmp_path)
    assert {hash_tensor(each) for each in (tensor, proto, lazy, stored)} == {hash_tensor(tensor)}


def test_storage_of_elements_smaller_than_a_byte_plays_no_part(tmp_path: Path) -> None:
    array = np.arange(-6, 6).reshape(3, 4).astype(ml_dtypes.int4)
    packed = np.array([(2 * i + 1 & 15) << 4 | (2 * i & 15) for i in range(-3, 3)], dtype=np.uint8)
    tensors = [
        ir.Tensor(array),
        ir.PackedTensor(packed, ir.DataType.INT4, shape=ir.Shape((3, 4))),
        external(packed, ir.DataType.INT4, (3, 4), tmp_path),
    ]
    assert {hash_tensor(tensor) for tensor in tensors} == {hash_tensor(tensors[0])}


def test_dtype_shape_and_elements_count() -> None:
    zeros = np.zeros((2, 6), dtype=np.float32)
    arrays: list[npt.NDArray[Any]] = [
        zeros,
        zeros.reshape(6, 2),
        zeros.reshape(12),
        zeros.reshape(1, 2, 6),
        zeros.view(np.int32),
        -zeros,
        np.zeros((), dtype=np.float32),
        np.zeros((0,), dtype=np.float32),
        np.zeros((0, 1), dtype=np.float32),
    ]
    assert len({hash_tensor(ir.Tensor(array)) for array in arrays}) == len(arrays)


def test_strings() -> None:
    def strings(*texts: bytes) -> ir.StringTensor:
        return ir.StringTensor(texts, shape=ir.Shape((len(texts),)))

    proto = onnx.TensorProto(data_type=onnx.TensorProto.STRING, dims=[2], string_data=[b"ab", b"c"])
    assert hash_tensor(strings(b"ab", b"c")) == hash_tensor(ir.serde.deserialize_tensor(proto))
    assert hash_tensor(strings(b"ab", b"c")) != hash_tensor(strings(b"a", b"bc"))
    assert hash_tensor(strings(b"ab\0")) != hash_tensor(strings(b"ab"))
