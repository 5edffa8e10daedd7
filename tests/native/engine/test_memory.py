"""What programs take of memory: what is shared, what is held, and what happens where there is none."""

from __future__ import annotations

from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphopt.native import Program, ProgramBuilder, instruction_set

Array = npt.NDArray[Any]

TABLE = np.random.default_rng(0).integers(0, 256, 256, np.uint8)
LOOKUP = {"table": TABLE, "type": "u8"}
SCALES = {"a_scale": 0.1, "a_zero": 0, "b_scale": 0.1, "b_zero": 0}
CODES = {"y_type": "u8", "y_scale": 0.1, "y_zero": 3}


def codes(*shape: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def agrees(program: Program, *inputs: Array) -> None:
    for got, want in zip(program.run(inputs), program.reference(inputs), strict=True):
        np.testing.assert_array_equal(got, want)


def ran(program: Program, *inputs: Array) -> list[str]:
    return [row.kind for row in program.profile(inputs, repeats=1) if row.runs]


def test_a_chain_lies_in_its_output() -> None:
    builder = ProgramBuilder()
    value = builder.input("x", "u8", [100, 64])
    for _ in range(4):
        (value,) = builder.step("lookup", [value], LOOKUP)
    builder.output(value, "y")
    program = Program(builder.build())
    agrees(program, codes(100, 64))
    # Pointers of one step are all there is.
    assert program.arena() == 64


def test_an_input_is_never_overwritten() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [100])
    c = builder.constant(codes(100))
    for i, value in enumerate((x, c)):
        builder.output(builder.step("lookup", [value], LOOKUP)[0], f"y{i}")
    given = codes(100)
    program = Program(builder.build())
    for _ in range(2):
        np.testing.assert_array_equal(program.run([given])[1], TABLE[codes(100)])
        np.testing.assert_array_equal(given, codes(100))


def test_a_value_that_is_read_again_is_not_overwritten() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [100])
    (a,) = builder.step("lookup", [x], LOOKUP)
    (b,) = builder.step("lookup", [a], LOOKUP)
    (y,) = builder.step("add", [a, b], {**SCALES, **CODES})
    builder.output(y, "y")
    agrees(Program(builder.build()), codes(100))


def added(rows: int, columns: int, depth: int, kind: str = "gemm") -> Program:
    """A product and what is added to it, which a table was looked up in before."""
    rng = np.random.default_rng(rows)
    window = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "groups": 1} if kind == "conv" else {}
    shape = (columns, 1, 1, depth) if kind == "conv" else (columns, depth)
    attributes = {
        "weights": rng.integers(-128, 128, shape).astype(np.int8),
        "weight_scale": np.full(1, 0.002, np.float32),
        "x_scale": 0.1,
        "x_zero": 120,
        **{"y_type": "u8", "y_scale": 0.002 * depth**0.5, "y_zero": 130},
        **{"r_scale": 0.04, "r_zero": 7},
        **{"sum_type": "u8", "sum_scale": 0.05, "sum_zero": 128},
    }
    image = [1, rows, 1] if kind == "conv" else [rows]
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [*image, depth])
    r = builder.input("r", "u8", [*image, columns])
    (other,) = builder.step("lookup", [r], LOOKUP)
    (y,) = builder.step(kind, [x, other], attributes | window)
    builder.output(y, "y")
    return Program(builder.build())


@pytest.mark.parametrize("kind", ["gemm", "conv"])
@pytest.mark.parametrize("depth", [3, 64, 700])
@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 13, 49, 97, 200])
def test_a_sum_lies_where_what_is_added_did(rows: int, depth: int, kind: str) -> None:
    for columns in (4100 // rows + 1, 4160 // rows + 16):
        program = added(rows, columns, depth, kind)
        image = [1, rows, 1] if kind == "conv" else [rows]
        inputs = codes(*image, depth), codes(*image, columns)
        agrees(program, *inputs)
        adds = [row.in_place for row in program.profile(inputs, repeats=1) if row.kind == kind]
        assert adds == [instruction_set().startswith("avx512")]  # others have no kernels that add


@pytest.mark.parametrize("size", [11, 30])
def test_a_sum_with_a_transposed_convolution_lies_where_what_is_added_did(size: int) -> None:
    """Its outputs are made in four turns, each of every other one."""
    rng = np.random.default_rng(size)
    attributes = {
        "weights": rng.integers(-128, 128, (9, 3, 3, 8)).astype(np.int8),
        "weight_scale": np.full(1, 0.002, np.float32),
        **{"x_scale": 0.1, "x_zero": 120, "y_type": "u8", "y_scale": 0.02, "y_zero": 130},
        **{"r_scale": 0.04, "r_zero": 7, "sum_type": "u8", "sum_scale": 0.05, "sum_zero": 128},
        **{
            "strides": [2, 2],
            "pads": [1, 1, 1, 1],
            "dilations": [1, 1],
            "groups": 1,
            "output_padding": [1, 1],
        },
    }
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [1, size, size, 8])
    r = builder.input("r", "u8", [1, 2 * size, 2 * size, 9])
    (other,) = builder.step("lookup", [r], LOOKUP)
    (y,) = builder.step("conv_transpose", [x, other], attributes)
    builder.output(y, "y")
    program = Program(builder.build())
    inputs = codes(1, size, size, 8), codes(1, 2 * size, 2 * size, 9)
    agrees(program, *inputs)
    adds = [row.in_place for row in program.profile(inputs, repeats=1) if row.kind == "conv_transpose"]
    assert adds == [instruction_set().startswith("avx512") and 36 * size**2 >= 4096]


def test_a_sum_that_is_made_behind_the_product_lies_elsewhere() -> None:
    """Few elements are added by another kernel, once all products are there."""
    program = added(2, 33, 8)
    inputs = codes(2, 8), codes(2, 33)
    agrees(program, *inputs)
    assert not any(row.in_place for row in program.profile(inputs, repeats=1) if row.kind == "gemm")


def test_reshapes_and_slices_of_columns_are_views() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", ["n", 4, 6])
    (a,) = builder.step("lookup", [x], LOOKUP)
    (b,) = builder.step("reshape", [a], {"dims": [-1, 6]})
    (c,) = builder.step("slice", [b], {"starts": [2], "ends": [5], "steps": [1], "axes": [1]})
    (d,) = builder.step("lookup", [c], LOOKUP)
    (e,) = builder.step("reshape", [d], {"dims": [-1, 4, 3]})
    builder.output(e, "y")
    program = Program(builder.build())
    agrees(program, codes(3, 4, 6))
    assert ran(program, codes(3, 4, 6)).count("reshape") == 0


def concatenated(axis: int, scale: float = 0.1) -> Program:
    """Two sums, joined and looked up."""
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [1, 5, 6, 8])
    parts = [builder.step("add", [x, x], {**SCALES, **CODES})[0] for _ in range(2)]
    attributes = {"axis": axis, "scales": [0.1, scale], "zeros": [3, 3], **CODES}
    (y,) = builder.step("concat", parts, attributes)
    (z,) = builder.step("lookup", [y], LOOKUP)
    builder.output(z, "z")
    return Program(builder.build())


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_parts_of_one_scale_are_joined_without_copies(axis: int) -> None:
    program = concatenated(axis)
    agrees(program, codes(1, 5, 6, 8))
    # Along the third, a part's rows do not lie evenly apart.
    assert ("concat" in ran(program, codes(1, 5, 6, 8))) == (axis == 2)


def test_parts_of_other_scales_are_converted() -> None:
    program = concatenated(3, scale=0.2)
    agrees(program, codes(1, 5, 6, 8))
    assert "concat" in ran(program, codes(1, 5, 6, 8))


def test_joined_parts_lie_in_joined_parts() -> None:
    builder = ProgramBuilder()
    joined = builder.input("x", "u8", [2, 3, 3, 8])
    (joined,) = builder.step("lookup", [joined], LOOKUP)
    for i in range(4):
        (part,) = builder.step("lookup", [joined], LOOKUP)
        attributes = {"axis": 3, "scales": [0.1] * 2, "zeros": [3] * 2, **CODES}
        (joined,) = builder.step("concat", [joined, part], attributes, name=f"concat_{i}")
    builder.output(joined, "y")
    program = Program(builder.build())
    agrees(program, codes(2, 3, 3, 8))


def test_what_is_held_is_what_was_planned() -> None:
    program = concatenated(2)
    assert program.held == 0
    for _ in range(3):
        program.run([codes(1, 5, 6, 8)])
        assert program.held == program.arena()


def test_runs_at_a_time_hold_an_arena_each() -> None:
    program = concatenated(2)
    threads = [Thread(target=lambda: [program.run([codes(1, 5, 6, 8)]) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert program.arena() <= program.held <= 4 * program.arena()


def test_memory_that_is_not_there_is_an_error() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [1, 1, 1, 1])
    options = {"mode": "nearest", "coordinates": "asymmetric", "nearest_mode": "floor"}
    pool = {"kernel": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "ceil": 0}
    (y,) = builder.step("resize", [x], {**options, "sizes": [1 << 19, 1 << 19]})
    (z,) = builder.step("max_pool", [y], {**pool, "strides": [1 << 18] * 2})
    builder.output(z, "z")
    program = Program(builder.build())
    assert program.arena() > 1 << 38
    with pytest.raises(MemoryError):
        program.run([codes(1, 1, 1, 1)])
    with pytest.raises(MemoryError):
        program.reference([codes(1, 1, 1, 1)])
