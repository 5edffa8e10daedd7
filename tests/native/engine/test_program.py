"""Programs: what they take, compute, refuse and keep."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphopt.errors import DataError, LoadError, SaveError
from graphopt.native import Program, ProgramBuilder

Array = npt.NDArray[Any]

TABLE = np.random.default_rng(0).integers(0, 256, 256, np.uint8)


def codes(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def looked_up(times: int, shape: list[int | str] | None = None) -> Program:
    """As many lookups, one after the other."""
    builder = ProgramBuilder()
    value = builder.input("x", "u8", ["rows", 64] if shape is None else shape)
    for i in range(times):
        (value,) = builder.step("lookup", [value], {"table": TABLE, "type": "u8"}, name=f"lookup_{i}")
    builder.output(value, "y")
    return Program(builder.build())


def test_a_program_says_what_it_takes_and_gives() -> None:
    program = looked_up(1)
    (port,) = program.inputs
    assert (port.name, port.dtype, port.shape) == ("x", np.dtype(np.uint8), ("rows", 64))
    assert program.outputs == ("y",)


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_inputs_come_in_order_or_by_name(threads: int) -> None:
    x = codes(3, 64)
    program = looked_up(2)
    for inputs in ([x], {"x": x}):
        (y,) = program.run(inputs, threads)
        np.testing.assert_array_equal(y, TABLE[TABLE[x]])


@pytest.mark.parametrize("rows", [0, 1, 7, 3000])
def test_axes_left_open_take_any_size(rows: int) -> None:
    x = codes(rows, 64)
    program = looked_up(3)
    np.testing.assert_array_equal(program.run([x])[0], TABLE[TABLE[TABLE[x]]])
    np.testing.assert_array_equal(program.reference([x])[0], TABLE[TABLE[TABLE[x]]])


def test_more_shapes_than_are_remembered() -> None:
    program = looked_up(2)
    for _ in range(2):
        for rows in range(1, 50):
            x = codes(rows, 64, seed=rows)
            np.testing.assert_array_equal(program.run([x])[0], TABLE[TABLE[x]])


def test_values_that_are_not_computed_and_double_outputs_are_copied() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [2, 3])
    c = builder.constant(codes(5))
    (y,) = builder.step("lookup", [c], {"table": TABLE, "type": "s8"})
    for value, name in ((x, "input"), (c, "constant"), (y, "computed"), (y, "again"), (x, "once more")):
        builder.output(value, name)
    found = Program(builder.build()).run([codes(2, 3)])
    expected = [codes(2, 3), codes(5), TABLE[codes(5)].view(np.int8)]
    for got, want in zip(found, [*expected, expected[2], expected[0]], strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_program_without_steps_or_outputs() -> None:
    builder = ProgramBuilder()
    builder.input("x", "f32", [])
    assert Program(builder.build()).run([np.zeros((), np.float32)]) == []


def test_arrays_need_not_be_contiguous() -> None:
    x = codes(64, 6).T
    np.testing.assert_array_equal(looked_up(1).run([x])[0], TABLE[x])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "takes 1 inputs, not 0"),
        ([codes(3, 64), codes(3, 64)], "takes 1 inputs, not 2"),
        ([codes(3, 63)], r"\[3, 63\], not \[rows, 64\]"),
        ([codes(3, 64).astype(np.int8)], "'x' is of int8, not uint8"),
        ([[1, 2]], "'x' is no array, but of type list"),
        ({"z": codes(3, 64)}, "no input 'z'"),
        ({}, "'x' is missing"),
    ],
)
def test_what_does_not_fit_is_told_by_name(inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        looked_up(1).run(inputs)
    assert caught.value.hint == "the program takes x: uint8[rows, 64]"


def test_what_is_no_number_is_told() -> None:
    program = looked_up(1)
    said = "'str' object cannot be interpreted as an integer"
    with pytest.raises(TypeError, match=said):
        program.run([codes(3, 64)], "2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=said):
        program.arena([("rows", 64)])  # type: ignore[list-item]


def test_axes_of_one_name_have_one_size() -> None:
    builder = ProgramBuilder()
    for name in ("a", "b"):
        builder.output(builder.input(name, "u8", ["n", 2]), name)
    with pytest.raises(DataError, match="axis 'n' is 3 and, in input 'b', 4"):
        Program(builder.build()).run([codes(3, 2), codes(4, 2)])


def test_a_builder_refuses_at_once_what_no_operator_takes() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [4])
    with pytest.raises(ValueError, match="lookup 'here': attribute 'table' is missing"):
        builder.step("lookup", [x], {"type": "u8"}, name="here")
    with pytest.raises(ValueError, match="no operator is named 'look'"):
        builder.step("look", [x], {})
    with pytest.raises(ValueError, match="no value has the number 7"):
        builder.step("lookup", [7], {"table": TABLE, "type": "u8"})
    with pytest.raises(ValueError, match="no value has the number -1"):
        builder.output(-1, "y")


def test_a_program_of_known_shapes_is_checked_when_it_is_built() -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "f32", [4])
    builder.step("lookup", [x], {"table": TABLE, "type": "u8"}, name="here")
    with pytest.raises(ValueError, match=r"step 0, lookup 'here': .*codes of one byte"):
        builder.build()


@pytest.mark.parametrize("names", [("", "y"), ("y", "y")])
def test_outputs_are_told_apart_by_name(names: tuple[str, str]) -> None:
    builder = ProgramBuilder()
    x = builder.input("x", "u8", [4])
    for name in names:
        builder.output(x, name)
    with pytest.raises(ValueError, match="output"):
        builder.build()


def test_threads_run_one_program_at_a_time_to_the_same_results() -> None:
    program = looked_up(5)
    given = [codes(rows, 64, seed=rows) for rows in (1, 40, 200, 1500)]
    expected = [program.reference([x])[0] for x in given]
    wrong: list[int] = []

    def work(first: int) -> None:
        for i in range(200):
            each = (first + i) % len(given)
            if not np.array_equal(program.run([given[each]], 1 + i % 3)[0], expected[each]):
                wrong.append(each)

    threads = [Thread(target=work, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_profile_has_a_row_for_each_step() -> None:
    program = looked_up(3)
    rows = program.profile([codes(8, 64)], repeats=2)
    assert [(row.name, row.kind, row.inputs, row.outputs) for row in rows] == [
        (f"lookup_{i}", "lookup", ((8, 64),), ((8, 64),)) for i in range(3)
    ]
    assert all(row.seconds >= 0 for row in rows)
    with pytest.raises(DataError, match="0 runs"):
        program.profile([codes(8, 64)], repeats=0)


def test_a_file_holds_the_program(tmp_path: Path) -> None:
    program = looked_up(2)
    program.save(tmp_path / "program")
    again = Program.load(tmp_path / "program")
    assert again.inputs == program.inputs and again.outputs == program.outputs
    assert again.to_bytes() == program.to_bytes()
    np.testing.assert_array_equal(again.run([codes(3, 64)])[0], program.run([codes(3, 64)])[0])


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="none") as caught:
        Program.load(tmp_path / "none")
    assert caught.value.hint
    with pytest.raises(SaveError, match="folder") as refused:
        looked_up(1).save(tmp_path / "folder" / "program")
    assert refused.value.hint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "no program's file"),
        (lambda data: b"ONNX" * 20, "no program's file"),
        (lambda data: data[:-1], "cut off or too long"),
        (lambda data: data + b"\0", "cut off or too long"),
        (lambda data: data[:8] + b"\x02" + data[9:], "version 2; this graphopt reads version 1"),
        (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], "damaged"),
    ],
)
def test_damaged_files_are_refused(damage: Any, message: str) -> None:
    data = looked_up(2).to_bytes()
    with pytest.raises(LoadError, match=message) as caught:
        Program.from_bytes(damage(data), "that.program")
    assert str(caught.value).startswith("that.program: ")
    assert caught.value.hint


def test_every_byte_of_a_file_counts() -> None:
    data = looked_up(1).to_bytes()
    for at in range(len(data)):
        with pytest.raises(LoadError):
            Program.from_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
