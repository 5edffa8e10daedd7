"""Instances: read from CSV, and refused with the name of the buffer where they make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphopt.errors import UsageError
from graphopt.memory.buffers import Buffer, Instance, read_instance

Run = Callable[..., Any]

GOOD = "id,lower,upper,size\nx,0,2,4\ny,1,3,4\nz,2,4,4\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "buffers.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_in_any_order_and_with_more(tmp_path: Path) -> None:
    text = "\ufeffsize, upper,lower,note,id,offset,alignment\r\n8,2,0,hi,x,,\r\n\r\n16,3,-1,,y,32,16\r\n"
    assert read_instance(written(tmp_path, text), alignment=4).buffers == (
        Buffer("x", 0, 2, 8, 4, None),
        Buffer("y", -1, 3, 16, 16, 32),
    )


def test_no_buffers_are_an_instance(tmp_path: Path) -> None:
    assert read_instance(written(tmp_path, "id,lower,upper,size\n")).buffers == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: column 'id' is missing"),
        ("id,lower,size\nx,0,4\n", "column 'upper' is missing"),
        ("id,lower,upper,size\nx,0,2\n", "line 2: buffer 'x' has no size"),
        ("id,lower,upper,size\n,0,2,4\n", "line 2: there is no id"),
        ('id,lower,upper,size\n"x\nz",0,2,4\n\ny,0,2\n', "line 5: buffer 'y' has no size"),
        ("id,lower,upper,size\nx,0,2,big\n", "line 2: buffer 'x': size is 'big'"),
        ("id,lower,upper,size\nx,0,2,1.5\n", "buffer 'x': size is '1.5'"),
        ("id,lower,upper,size\nx,0,2,-4\n", "line 2: buffer 'x' has the negative size -4"),
        ("id,lower,upper,size\nx,2,2,4\n", "buffer 'x' is live from 2 until 2"),
        ("id,lower,upper,size\nx,3,2,4\n", "line 2: buffer 'x' is live from 3 until 2"),
        ("id,lower,upper,size\nx,0,2,4\nx,2,3,4\n", "line 3: buffer 'x' is there twice, first in line 2"),
        (f"id,lower,upper,size\nx,0,2,{2**63}\n", "buffer 'x': size"),
        (f"id,lower,upper,size\nx,0,{2**64},4\n", "line 2: buffer 'x': upper"),
        (f"id,lower,upper,size\nx,0,2,{2**62}\ny,0,2,{2**62}\n", "buffer 'y': with its"),
        ("id,lower,upper,size,offset\nx,0,2,4,-8\n", "buffer 'x' has the negative offset -8"),
        ("id,lower,upper,size,offset\nx,0,2,4,0\ny,1,2,4,3\n", "buffers 'x' and 'y' are live together"),
    ],
)
def test_what_is_no_instance_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_instance(written(tmp_path, text))
    assert caught.value.hint


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv"):
        read_instance(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a CSV"):
        read_instance(tmp_path / "binary.csv")


def test_an_id_must_be_its_own() -> None:
    with pytest.raises(UsageError, match="buffer 7 is there twice"):
        Instance((Buffer(7, 0, 1, 4), Buffer(7, 1, 2, 4)))


def test_a_fixed_offset_must_be_aligned() -> None:
    with pytest.raises(UsageError, match="'x' has the offset 6"):
        Instance((Buffer("x", 0, 1, 4, 4, 6),))
    with pytest.raises(UsageError, match="alignment 0"):
        Instance((Buffer("x", 0, 1, 4, 0),))


def test_the_command_prints_one_object(run: Run, tmp_path: Path) -> None:
    ran = run("plan", "--buffers", written(tmp_path, GOOD), "--json")
    found = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert (found["arena"], found["lower_bound"], found["optimal"]) == (8, 8, True)
    assert set(found["offsets"]) == {"x", "y", "z"}
    assert found["offsets"]["x"] == found["offsets"]["z"] != found["offsets"]["y"]
    assert found["seconds"] >= 0


def test_the_command_says_whether_a_capacity_holds(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert run("plan", "--buffers", path, "--capacity", "8").code == 0
    ran = run("plan", "--buffers", path, "--capacity", "7")
    assert ran.code == 1
    assert "too small, which is proved" in ran.out
    found = run("plan", "--buffers", path, "--capacity", "7", "--json")
    assert (found.code, json.loads(found.out)["fits"]) == (1, False)


def test_the_command_refuses_bad_input(run: Run, tmp_path: Path) -> None:
    ran = run("plan", "--buffers", written(tmp_path, "id,lower,upper,size\nx,0,2,-4\n"))
    assert (ran.code, ran.out) == (2, "")
    assert "error: " in ran.err and "'x'" in ran.err and "hint: " in ran.err
    assert run("plan").code == 2
    assert run("plan", "model.onnx", "--buffers", written(tmp_path, GOOD)).code == 2


def test_an_alignment_for_all(run: Run, tmp_path: Path) -> None:
    found = json.loads(run("plan", "--buffers", written(tmp_path, GOOD), "--alignment", "64", "--json").out)
    assert sorted(found["offsets"].values()) == [0, 0, 64] or sorted(found["offsets"].values()) == [0, 64, 64]
    assert found["arena"] == found["lower_bound"] == 68
