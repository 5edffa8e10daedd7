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
            message names the line and the buffer.
    """
    if alignment < 1:
        raise UsageError(f"an alignment of {alignment} bytes was asked for", hint="it is 1 byte or more")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _instance(path, list(_buffers(path, file, alignment)))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: is not a CSV file: {error}") from error


def _instance(path: Path, rows: list[tuple[int, Buffer[str]]]) -> Instance[str]:
    """The buffers of a file, each with its line, which is named where it is at fault."""
    seen: dict[str, int] = {}
    for line, buffer in rows:
        try:
            _check(buffer)
        except UsageError as error:
            raise UsageError(f"{path}, line {line}: {error.message}", hint=error.hint) from None
        if buffer.id in seen:
            raise UsageError(
                f"{path}, line {line}: buffer {buffer.id!r} is there twice, first in line {seen[buffer.id]}",
                hint="give each buffer its own id",
            )
        seen[buffer.id] = line
    try:
        return Instance(tuple(buffer for _, buffer in rows))
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from None


def _buffers(path: Path, file: Iterable[str], alignment: int) -> Iterator[tuple[int, Buffer[str]]]:
    """Each buffer and the line that it ends in."""
    rows = csv.reader(file, skipinitialspace=True)
    header = [name.strip().lower() for name in next(rows, [])]
    columns = {_OTHER_NAMES.get(name, name): index for index, name in enumerate(header)}
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise UsageError(
            f"{path}, line 1: column {missing[0]!r} is missing; found {', '.join(header) or 'nothing'}",
            hint="the first line is: id,lower,upper,size",
        )
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path}, line {rows.line_num}"
        cells = {name: row[index].strip() for name, index in columns.items() if index < len(row)}
        lacking = [name for name in _COLUMNS if not cells.get(name)]
        if lacking:
            which = f"buffer {cells['id']!r} has" if cells.get("id") else "there is"
            raise UsageError(f"{where}: {which} no {lacking[0]}", hint="id,lower,upper,size are all needed")
        buffer = Buffer(
            id=cells["id"],
            lower=_number(where, cells, "lower"),
            upper=_number(where, cells, "upper"),
            size=_number(where, cells, "size"),
            alignment=_number(where, cells, "alignment") if cells.get("alignment") else alignment,
            offset=_number(where, cells, "offset") if cells.get("offset") else None,
        )
        yield rows.line_num, buffer


def _number(where: str, cells: Mapping[str, str], column: str) -> int:
    text = cells[column]
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 100):
        raise UsageError(
            f"{where}: buffer {cells['id']!r}: {column} is {text[:40]!r}, expected a whole number",
            hint="times and sizes are whole numbers; sizes are in bytes",
        )
    return int(text)
