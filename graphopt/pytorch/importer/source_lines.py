"""The user's line behind a failure: the innermost frame that belongs neither to torch nor to us."""

from __future__ import annotations

import functools
import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import onnxscript
import torch

_LIBRARIES = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in (
        Path(torch.__file__).parent,
        Path(onnxscript.__file__).parent,
        Path(__file__).parents[2],
        sysconfig.get_path("stdlib"),
    )
)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_PACKAGES = f"{os.sep}site-packages{os.sep}"


@dataclass(frozen=True)
class SourceLine:
    """A line of somebody's code.

    Attributes:
        file: Its path.
        line: Its number.
        function: The function it stands in.
    """

    file: str
    line: int
    function: str

    @property
    def text(self) -> str:
        """The code, without indentation; "" where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        path = Path(self.file)
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return f"{path}:{self.line}, in {self.function}"


@functools.cache
def is_library(file: str) -> bool:
    """Whether a file is torch's, ours or the standard library's, and so not what a user has to change."""
    if file.startswith("<"):
        return True
    path = os.path.realpath(file)
    return path.startswith(_LIBRARIES[:3]) or (path.startswith(_LIBRARIES[3]) and _PACKAGES not in path)


def line_of_error(error: BaseException) -> SourceLine | None:
    """The user's line at which an exception of a capture arose, or None."""
    for one in _chain(error):
        if (found := _innermost(_below_export(one.__traceback__))) is not None:
            return found
        stack = [getattr(one, "innermost_user_frame_summary", None), *getattr(one, "real_stack", ())[::-1]]
        if (found := _innermost([frame for frame in stack if frame is not None][::-1])) is not None:
            return found
    return None


def line_of_node(node: Any) -> SourceLine | None:
    """The user's line that an FX node was recorded at, or None."""
    text = node.meta.get("stack_trace") or ""
    frames = [(file, int(line), function) for file, line, function in _FRAME.findall(text)]
    ours = [frame for frame in frames if not is_library(frame[0])]
    return SourceLine(*ours[-1]) if ours else None


def line_being_run(frame: FrameType | None) -> SourceLine | None:
    """The innermost line of a user among a frame and its callers, as far as torch.export."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not is_library(file):
            return SourceLine(file, frame.f_lineno, frame.f_code.co_name)
        if frame.f_code.co_name == "export" and f"torch{os.sep}export" in file:
            return None
        frame = frame.f_back
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _below_export(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames inside torch.export: those above it belong to whoever asked for the trace."""
    frames = traceback.extract_tb(trace)
    inside = [i for i, frame in enumerate(frames) if f"torch{os.sep}export{os.sep}" in frame.filename]
    return list(frames[inside[0] :]) if inside else []


def _innermost(frames: Iterable[traceback.FrameSummary]) -> SourceLine | None:
    ours = [frame for frame in frames if not is_library(frame.filename)]
    if not ours or ours[-1].lineno is None:
        return None
    return SourceLine(ours[-1].filename, ours[-1].lineno, ours[-1].name)
