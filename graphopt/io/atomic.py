"""Files that appear whole or not at all: written beside their destination, synced, then moved into place.

It knows nothing of models.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import stat
import threading
from collections.abc import Iterator
from typing import BinaryIO

from graphopt.errors import SaveError

_HINTS = {
    errno.ENOSPC: "the disk is full; free some space or save elsewhere",
    errno.EDQUOT: "your disk quota is used up; free some space or save elsewhere",
    errno.EACCES: "save to a folder that you may write to",
    errno.EPERM: "save to a folder that you may write to",
    errno.EROFS: "the file system is read-only; save elsewhere",
    errno.ENOENT: "no file can be created there; save to another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}
_numbers = itertools.count()


def ensure_writable(path: str | os.PathLike[str]) -> None:
    """Check that a file can be written at `path`, before any work is done for it.

    Raises:
        SaveError: The folder is missing or not writable, or something that is no regular file is there.
    """
    with StagedFile(path):
        pass


class StagedFile:
    """A temporary file beside `path`; `commit` moves it there, leaving the block without that removes it.

    Use as a context manager. A symbolic link at `path` is followed; an existing file keeps its permissions.

    Raises:
        SaveError: The file cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(_checked(path))
        folder, name = os.path.split(self.path)
        # Never longer than a name may be, whatever the destination's own length.
        self.temporary = os.path.join(folder, f".{name[:64]}.{os.getpid()}.{next(_numbers)}.tmp")
        self._committed = False

    def __enter__(self) -> StagedFile:
        with told_as_save_error(self.path):
            mode = stat.S_IMODE(os.stat(self.path).st_mode) if os.path.lexists(self.path) else None
            self.file: BinaryIO = open(self.temporary, "xb")
            if mode is not None:
                os.chmod(self.temporary, mode)
        return self

    def __exit__(self, *exception: object) -> None:
        # Closing may try to write once more, and the disk may still be full.
        with contextlib.suppress(OSError):
            self.file.close()
        if not self._committed:
            with contextlib.suppress(OSError):
                os.unlink(self.temporary)

    def finish(self) -> None:
        """Get every byte onto the disk."""
        with told_as_save_error(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()

    def commit(self, path: str | None = None) -> None:
        """Move the finished file to its destination, or to `path` in the same folder."""
        destination = path or self.path
        with told_as_save_error(destination):
            os.replace(self.temporary, destination)
            self._committed = True
            _sync_folder(os.path.dirname(destination))


@contextlib.contextmanager
def told_as_save_error(path: str) -> Iterator[None]:
    """Turn operating-system errors of the block into a `SaveError` about `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(f"cannot write {path!r}: {reason}", hint=_HINTS.get(error.errno or 0)) from error


@contextlib.contextmanager
def termination_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the block, so that it cleans up, where it would kill the process at once."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _checked(path: str | os.PathLike[str]) -> str:
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise SaveError(f"{text!r} is not a file name")
    with told_as_save_error(text), contextlib.suppress(FileNotFoundError):
        os.stat(text)
    folder = os.path.dirname(os.path.abspath(text))
    if not os.path.isdir(folder):
        raise SaveError(
            f"cannot write {text!r}: there is no folder {folder!r}", hint="create the folder first"
        )
    if os.path.isdir(text):
        raise SaveError(f"cannot write {text!r}: it is a folder", hint="name a file in it")
    if os.path.exists(text) and not os.path.isfile(text):
        raise SaveError(f"cannot write {text!r}: it is not a regular file", hint="name a new file")
    if os.path.exists(text) and not os.access(text, os.W_OK):
        raise SaveError(f"cannot write {text!r}: the file there is read-only", hint="choose another name")
    return text


def _sync_folder(folder: str) -> None:
    """Make a rename durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
