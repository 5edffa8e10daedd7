"""What there is to place: buffers with live ranges and sizes, and instances of them read from CSV.

Knows no graphs and no solvers.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from graphopt.errors import UsageError

LARGEST = 2**63 - 1
"""Times, offsets and the sum of all sizes must fit in 64 bits with a sign."""

Id = TypeVar("Id", int, str)


@dataclasses.dataclass(frozen=True)
class Buffer(Generic[Id]):
    """A piece of memory that is needed for a while.

    Attributes:
        id: Its name; unique in an instance.
        lower: First moment at which it is live.
        upper: First moment at which it is live no more.
        size: Bytes; one of 0 lies anywhere and overlaps nothing.
        alignment: Its offset is a multiple of this, in bytes.
        offset: Where it must lie, or None where that is free to choose.
    """

    id: Id
    lower: int
    upper: int
    size: int
    alignment: int = 1
    offset: int | None = None


@dataclasses.dataclass(frozen=True)
class Instance(Generic[Id]):
    """Buffers that share one arena.

    Raises:
        UsageError: A number is out of range, an id is there twice, or fixed buffers overlap; the message
            names the buffer.
    """

    buffers: tuple[Buffer[Id], ...]

    def __post_init__(self) -> None:
        total = 0
        seen: set[Id] = set()
        for buffer in self.buffers:
            _check(buffer)
            if buffer.id in seen:
                raise UsageError(f"buffer {buffer.id!r} is there twice", hint="give each buffer its own id")
            seen.add(buffer.id)
            total += -(-buffer.size // buffer.alignment) * buffer.alignment
            if total > LARGEST:
                raise UsageError(
                    f"buffer {buffer.id!r}: with its {buffer.size} bytes, all sizes add up to over 2^63 - 1",
                    hint="sizes are in bytes",
                )
        _check_fixed(self.buffers)


def _check(buffer: Buffer[Id]) -> None:
    name = f"buffer {buffer.id!r}"
    if buffer.size < 0:
        raise UsageError(f"{name} has the negative size {buffer.size}", hint="sizes are in bytes, 0 or more")
    if buffer.upper <= buffer.lower:
        raise UsageError(
            f"{name} is live from {buffer.lower} until {buffer.upper}, which is not after it",
            hint="live ranges are half-open: lower < upper",
        )
    if buffer.alignment < 1:
        raise UsageError(
            f"{name} has the alignment {buffer.alignment}", hint="an alignment is 1 byte or more"
        )
    numbers = {
        "lower": buffer.lower,
        "upper": buffer.upper,
        "size": buffer.size,
        "alignment": buffer.alignment,
    }
    for what, number in {**numbers, "offset": buffer.offset or 0}.items():
        if not -LARGEST <= number <= LARGEST:
            raise UsageError(f"{name}: {what} {number} does not fit in 64 bits", hint="sizes are in bytes")
    if buffer.offset is None:
        return
    if buffer.offset < 0:
        raise UsageError(f"{name} has the negative offset {buffer.offset}", hint="offsets start at 0")
    if buffer.offset % buffer.alignment:
        raise UsageError(
            f"{name} has the offset {buffer.offset}, no multiple of its alignment {buffer.alignment}",
            hint="change the offset, or plan with a smaller alignment",
        )
    if buffer.offset + buffer.size > LARGEST:
        raise UsageError(f"{name}: its end does not fit in 64 bits", hint="offsets and sizes are in bytes")


def _check_fixed(buffers: Iterable[Buffer[Id]]) -> None:
    """Two fixed buffers that overlap would make every plan wrong."""
    fixed = sorted((each for each in buffers if each.offset is not None and each.size), key=_by_lower)
    live: list[Buffer[Id]] = []
    for buffer in fixed:
        live = [other for other in live if other.upper > buffer.lower]
        for other in live:
            if buffer.offset < other.offset + other.size and other.offset < buffer.offset + buffer.size:  # type: ignore[operator]
                raise UsageError(
                    f"buffers {other.id!r} and {buffer.id!r} are live together and fixed to the same bytes",
                    hint="leave one of the offsets free",
                )
        live.append(buffer)


def _by_lower(buffer: Buffer[Id]) -> int:
    return buffer.lower


_COLUMNS = ("id", "lower", "upper", "size")
_OTHER_NAMES = {"buffer": "id", "buffer_id": "id", "start": "lower", "end": "upper"}


def read_instance(path: Path, *, alignment: int = 1) -> Instance[str]:
    """Read buffers in MiniMalloc's form: CSV with the columns id, lower, upper, size and, if wanted, more.

    A column `offset` fixes the buffers for which it is not empty, and `alignment` counts where it is given;
    further columns are ignored. Live ranges are half-open, sizes in bytes.

    Args:
        path: The file, in UTF-8.
        alignment: In bytes, of buffers that state none.

    Raises:
        UsageError: The file cannot be read, lacks a column, or holds something that is no valid instance; the
            message names the buffer or the line.
    """
    if alignment < 1:
        raise UsageError(f"an alignment of {alignment} bytes was asked for", hint="it is 1 byte or more")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return Instance(tuple(_buffers(path, csv.reader(file, skipinitialspace=True), alignment)))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: is not a CSV file: {error}") from error


def _buffers(path: Path, rows: Iterator[list[str]], alignment: int) -> Iterator[Buffer[str]]:
    header = [name.strip().lower() for name in next(rows, [])]
    columns = {_OTHER_NAMES.get(name, name): index for index, name in enumerate(header)}
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise UsageError(
            f"{path}: column {missing[0]!r} is missing; found {', '.join(header) or 'nothing'}",
            hint="the first line is: id,lower,upper,size",
        )
    for line, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {name: row[index].strip() for name, index in columns.items() if index < len(row)}
        lacking = [name for name in _COLUMNS if not cells.get(name)]
        if lacking:
            which = f"buffer {cells['id']!r}" if cells.get("id") else f"line {line}"
            raise UsageError(
                f"{path}: {which} has no {lacking[0]}", hint="id,lower,upper,size are all needed"
            )
        yield Buffer(
            id=cells["id"],
            lower=_number(path, cells, "lower"),
            upper=_number(path, cells, "upper"),
            size=_number(path, cells, "size"),
            alignment=_number(path, cells, "alignment") if cells.get("alignment") else alignment,
            offset=_number(path, cells, "offset") if cells.get("offset") else None,
        )


def _number(path: Path, cells: Mapping[str, str], column: str) -> int:
    text = cells[column]
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 100):
        raise UsageError(
            f"{path}: buffer {cells['id']!r}: {column} is {text[:40]!r}, expected a whole number",
            hint="times and sizes are whole numbers; sizes are in bytes",
        )
    return int(text)
