"""Sizes that are computed of sizes are known when a program is bound; others are refused as it runs."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.errors import DataError
from graphopt.native import Program, ProgramBuilder


def constant(builder: ProgramBuilder, *numbers: int) -> int:
    return builder.constant(np.array(numbers, np.int64))


def windowed() -> Program:
    """Of x [rows, columns]: the numbers of rows but the last two, and these rows, each three times."""
    builder = ProgramBuilder()
    x = builder.input("x", "f32", ["rows", "columns"])
    (sizes,) = builder.step("shape", [x], {"axes": [0, 1]}, 1, "sizes")
    (rows,) = builder.step("gather", [sizes, constant(builder, 0)], {"axis": 0}, 1, "rows")
    (end,) = builder.step("binary", [rows, constant(builder, 2)], {"op": "sub"}, 1, "end")
    (number,) = builder.step("range", [constant(builder, 0), end, constant(builder, 1)], {}, 1, "number")
    (part,) = builder.step("slice", [x, constant(builder, 0), end], {"axes": [0]}, 1, "part")
    (flat,) = builder.step("concat", [end, constant(builder, 1, -1)], {"axis": 0}, 1, "flat")
    (flatter,) = builder.step("reshape", [part, flat], {}, 1, "flatter")
    (wide,) = builder.step("concat", [constant(builder, 1, 3), constant(builder, 1)], {"axis": 0}, 1, "wide")
    (wider,) = builder.step("expand", [flatter, wide], {}, 1, "wider")
    builder.output(number, "number")
    builder.output(wider, "wider")
    return Program(builder.build())


def test_sizes_are_computed_of_sizes() -> None:
    program = windowed()
    for made in (program, Program.from_bytes(program.to_bytes())):
        for rows, columns in ((5, 4), (3, 3), (9, 1), (5, 4)):
            x = np.random.default_rng(rows).normal(0, 1, (rows, columns)).astype(np.float32)
            for number, wider in (made.run([x]), made.reference([x])):
                assert number.tolist() == list(range(rows - 2))
                np.testing.assert_array_equal(wider, x[:-2, None].repeat(3, 1))


def test_a_part_up_to_a_computed_end_is_looked_at_where_it_lies() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "f32", ["length"])
    table = builder.constant(np.arange(40, dtype=np.float32).reshape(10, 4))
    (end,) = builder.step("shape", [x], {"axes": [0]}, 1, "end")
    (part,) = builder.step("slice", [table, constant(builder, 0), end], {"axes": [0]}, 1, "part")
    (twice,) = builder.step("binary", [part, part], {"op": "add"}, 1, "twice")
    builder.output(twice, "y")
    program, given = Program(builder.build()), np.zeros(3, np.float32)
    np.testing.assert_array_equal(program.run([given])[0], 2 * np.arange(12).reshape(3, 4))
    assert [row.runs for row in program.profile([given], repeats=1)] == [True, False, True]


def test_sizes_of_elements_are_refused() -> None:
    builder = ProgramBuilder()
    x, end = builder.input("x", "f32", ["n"]), builder.input("end", "s64", [1])
    (part,) = builder.step("slice", [x, constant(builder, 0), end], {"axes": [0]}, 1, "part")
    builder.output(part, "y")
    program = Program(builder.build())
    with pytest.raises(DataError, match="slice 'part': ends are known only when it runs"):
        program.run([np.zeros(3, np.float32), np.ones(1, np.int64)])


def test_sizes_that_cannot_be_are_told() -> None:
    program = windowed()
    with pytest.raises(DataError, match="reshape 'flatter'"):
        program.run([np.zeros((1, 4), np.float32)])
