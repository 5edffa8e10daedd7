"""Notices what a process writes where it should not, by Python's audit events; nothing is prevented."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = ("/dev/null", "/dev/tty")
# Event -> positions of its arguments that name what is changed. What is named relative to an open folder (its
# last argument then is not -1) lies in a folder seen before.
_CHANGES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
}
_RELATIVE = ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.utime")


class WriteWatch:
    """Collects what this process writes, moves or removes outside some folders, for as long as it lives.

    Args:
        allowed: Folders in which anything may be written.

    Attributes:
        strays: The paths seen outside them.
    """

    def __init__(self, allowed: Sequence[str | os.PathLike[str]]) -> None:
        self.strays: list[str] = []
        self._allowed = tuple(os.path.realpath(folder) + os.sep for folder in allowed)
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
            if writes or (isinstance(flags, int) and flags & _WRITING):
                self._note(path)
        elif event in _CHANGES:
            if event in _RELATIVE and args[-1] != -1:
                return
            for position in _CHANGES[event]:
                self._note(args[position])

    def _note(self, path: Any) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor: where it was opened has been noted
        text = os.fsdecode(path)
        if text not in _HARMLESS and not f"{os.path.realpath(text)}{os.sep}".startswith(self._allowed):
            self.strays.append(text)
