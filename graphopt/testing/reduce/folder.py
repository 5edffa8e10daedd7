"""The folder of a reduction at work, beside its output: answers and candidates; one process at a time.

It is there while the work is, and stays where that is cut off, so that it can be resumed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from graphopt.errors import UsageError
from graphopt.io.atomic import told_as_save_error

ANSWERS = "answers.json"


def work_folder(output: Path) -> Path:
    """Where a reduction to `output` keeps what it needs until it is done."""
    return output.with_name(f"{output.name}.reduce")


def can_resume(output: Path) -> bool:
    """Whether an interrupted reduction to `output` left answers."""
    return (work_folder(output) / ANSWERS).is_file()


class WorkFolder:
    """The folder for the time of a block; removed by `remove`, else only cleared of candidates.

    Args:
        output: Where the reduced model goes.
        resume: Keep the answers that are there.

    Raises:
        UsageError: Another process reduces to the same output.
        SaveError: The folder cannot be made.
    """

    def __init__(self, output: Path, *, resume: bool) -> None:
        self.path = work_folder(output)
        self.answers = self.path / ANSWERS
        self._output = output
        self._resume = resume
        self._locked: int | None = None

    def __enter__(self) -> WorkFolder:
        with told_as_save_error(str(self.path)):
            self.path.mkdir(exist_ok=True)
        self._locked = _locked(self.path)
        self._clear(keep_answers=self._resume)
        return self

    def __exit__(self, *exception: object) -> None:
        self._clear(keep_answers=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()  # nothing was answered yet
        if self._locked is not None:
            os.close(self._locked)

    def remove(self) -> None:
        """The work is done."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _clear(self, *, keep_answers: bool) -> None:
        with contextlib.suppress(FileNotFoundError):
            for each in list(self.path.iterdir()):
                if not (keep_answers and each == self.answers) and not each.is_dir():
                    each.unlink(missing_ok=True)


def _locked(folder: Path) -> int | None:
    """Lock a folder; its descriptor, which is to be closed, or None where there are no locks.

    Raises:
        UsageError: Another process has locked it.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        hint = "name another file with -o"
        raise UsageError(f"another process is at work in {str(folder)!r}", hint=hint) from None
    except OSError:  # a file system without locks
        pass
    return descriptor
