"""Files that appear whole or not at all: written beside their destination, synced, then moved into place.

A process that is killed leaves its temporary file, `.NAME.PID.N.tmp`, for the next that writes to the same
destination to remove: a file that is still being written is locked. It knows nothing of models.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from graphopt.errors import SaveError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

_HINTS = {
    errno.ENOSPC: "the disk is full; free some space or save elsewhere",
    errno.EFBIG: "files may not be that large here; see `ulimit -f`, or save elsewhere",
    errno.EDQUOT: "your disk quota is used up; free some space or save elsewhere",
    errno.EACCES: "save to a folder that you may write to",
    errno.EPERM: "save to a folder that you may write to",
    errno.EROFS: "the file system is read-only; save elsewhere",
    errno.ENOENT: "no file can be created there; save to another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EBUSY: "something is mounted there; save elsewhere",
}
_numbers = itertools.count()

_EFFECTIVE_IDS = os.access in os.supports_effective_ids
_LOCK_POLL = 0.005
"""Seconds between two tries."""
_FOLDER_SECONDS = 10.0
"""To wait for another that is naming its files; then it was stopped, and names are free for all."""

_NAME_BYTES = 128
"""Of a destination's name, in the names of its temporary files; systems allow 255 in all."""


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

    Args:
        path: Destination.
        is_final: False where the destination's name is yet to be settled, so that it matters to nobody what
            is at `path`; see `commit_new`.

    Raises:
        SaveError: The file cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str], *, is_final: bool = True) -> None:
        self.path = os.path.realpath(_checked(path)) if is_final else os.fsdecode(path)
        self._is_final = is_final
        self._prefix = temporary_prefix(self.path)
        self.temporary = ""
        self.file: BinaryIO
        self._is_ours = False  # to remove

    def __enter__(self) -> StagedFile:
        remove_leftovers(self._prefix)
        with told_as_save_error(self.path), contextlib.ExitStack() as undo:
            undo.push(self.__exit__)
            known = self._is_final and os.path.lexists(self.path)
            mode = stat.S_IMODE(os.stat(self.path).st_mode) if known else None
            self._create()
            if mode is not None:
                os.chmod(self.temporary, mode)
            undo.pop_all()
        return self

    def _create(self) -> None:
        while True:
            self.temporary = f"{self._prefix}{os.getpid()}.{next(_numbers)}.tmp"
            self._is_ours = True  # said first: an interruption comes as soon as the file is there
            try:
                self.file = open(self.temporary, "xb")  # noqa: SIM115 closed by the block
            except FileExistsError:  # of another process of that number, in another container perhaps
                self._is_ours = False
                continue
            lock(self.file.fileno(), seconds=_FOLDER_SECONDS)
            if os.path.lexists(self.temporary):
                return
            self.file.close()  # taken for a leftover before it was locked

    def __exit__(self, *exception: object) -> None:
        if not self._is_ours:
            return
        # Closing may try to write once more, and the disk may still be full.
        with contextlib.suppress(OSError, AttributeError):
            self.file.close()
        with contextlib.suppress(OSError):
            os.unlink(self.temporary)

    def write(self, data: bytes) -> None:
        """Write all that the file is to hold."""
        with told_as_save_error(self.path):
            self.file.seek(0)
            self.file.truncate()
            self.file.write(data)
        self.finish()

    def finish(self) -> None:
        """Get every byte onto the disk. The file stays open, and so locked, until the block ends."""
        with told_as_save_error(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            self._identity = os.fstat(self.file.fileno())
            if fcntl is None:
                self.file.close()  # Windows moves no open file

    def commit(self) -> None:
        """Move the finished file to its destination."""
        with told_as_save_error(self.path):
            os.replace(self.temporary, self.path)
            sync_folder(os.path.dirname(self.path))

    def is_at(self, path: str) -> bool:
        """Whether the finished file is what is at `path` now."""
        try:
            return os.path.samestat(os.stat(path, follow_symlinks=False), self._identity)
        except OSError:
            return False

    def commit_new(self, path: str) -> None:
        """Move the finished file to `path`, in the same folder, where there is nothing.

        Raises:
            FileExistsError: There is something.
        """
        with told_as_save_error(path, but=FileExistsError):
            try:
                os.link(self.temporary, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
                self._leave_only(path, lambda: os.replace(self.temporary, path))
            else:  # onnx refuses data that has two names
                self._leave_only(path, lambda: os.unlink(self.temporary))
            sync_folder(os.path.dirname(path))

    def _leave_only(self, path: str, step: Callable[[], None]) -> None:
        """Take the temporary name away; where that fails, the new one."""
        try:
            step()
        except BaseException:
            os.unlink(path)
            raise


def temporary_prefix(path: str) -> str:
    """What the names of temporary files for `path` begin with; never longer than a name may be."""
    folder, name = os.path.split(path)
    start = os.fsencode(name)[:_NAME_BYTES].decode(errors="ignore")
    return os.path.join(folder, f".{start}.")


def remove_leftovers(prefix: str) -> None:
    """Remove temporary files of processes that were killed: those that nobody holds the lock of."""
    folder, start = os.path.split(prefix)
    leftover = re.compile(re.escape(start) + r"\d+\.\d+\.tmp")
    with contextlib.suppress(OSError):
        for name in filter(leftover.fullmatch, os.listdir(folder)):
            with contextlib.suppress(OSError):
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if lock(descriptor, seconds=0):
            os.unlink(path)
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, seconds: float) -> bool:
    """Lock an open file or folder until it is closed; whether that was possible within so many seconds.

    Nobody is hindered from reading or writing: it only keeps us apart from ourselves in other processes.
    """
    if fcntl is None:
        return False
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_LOCK_POLL)
        except OSError:  # a file system without locks
            return False


@contextlib.contextmanager
def locked_folder(folder: str) -> Iterator[None]:
    """Keep others of us from choosing names in `folder` during the block, where the system can."""
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        lock(descriptor, seconds=_FOLDER_SECONDS)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def told_as_save_error(path: str, *, but: type[OSError] | tuple[()] = ()) -> Iterator[None]:
    """Turn operating-system errors of the block, but one kind, into a `SaveError` about `path`."""
    try:
        yield
    except but:
        raise
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
    if os.path.exists(text) and not os.access(text, os.W_OK, effective_ids=_EFFECTIVE_IDS):
        raise SaveError(f"cannot write {text!r}: the file there is read-only", hint="choose another name")
    return text


def sync_folder(folder: str) -> None:
    """Make a rename durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
