"""What running a model may take, time and memory, so that a check ends whatever the model says.

A run that reaches a limit is told to stop; one that does not is left behind in its thread. Nothing here knows
what is being run.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import onnx_ir as ir

from graphopt.errors import LimitError
from graphopt.ir import constant_tensor, graphs, is_constant_node, is_deterministic, static_shape, subgraphs

BASE_SECONDS = 5.0
SECONDS_PER_WEIGHT_BYTE = 1e-6
BASE_BYTES = 384 << 20
BYTES_PER_WEIGHT_BYTE = 4
MOST_COMPUTED_BYTES = 1 << 30
"""What is computed from constants alone may be weights up to so much; a few numbers can say any size."""

_LOOK_SECONDS = 0.02
_GRACE_SECONDS = 1.0
"""How long a run that was told to stop may go on: it stops between two nodes."""
_GRACE_SECONDS_IN_NEED = 0.2
"""The same where memory is short, be it that it was told to stop for its time."""
_WALL_FACTOR = 4
"""A run that mostly waits ends after so many times its processor time."""
_OVERHEAD = 1.3
"""Of the process over what the runtime's arena holds: copies of outputs, temporary buffers of kernels."""
_MEBIBYTE = 1 << 20

_arena_lock = threading.Lock()
_left_behind: list[threading.Thread] = []

T = TypeVar("T")


class Budget:
    """Time and memory for all runs of one purpose, of which each run takes its part.

    Args:
        seconds: Processor time of all runs together, loading included.
        peak_bytes: What the runtime may allocate for one session beside shared weights.
        what: How messages call the purpose.
        hint: What a user can do when it is not enough.

    Attributes:
        peak_bytes: As given.
    """

    def __init__(self, seconds: float, peak_bytes: int, *, what: str, hint: str | None = None) -> None:
        self.peak_bytes = peak_bytes
        self._seconds = seconds
        self._left = seconds
        self._what = what
        self._hint = hint
        self._most_resident = 0
        self.begin()

    def begin(self) -> None:
        """Begin a session: what the process holds by now is not the session's."""
        allowed = _resident_bytes() + int(_OVERHEAD * self.peak_bytes)
        self._most_resident = max(self._most_resident, allowed)

    @property
    def seconds_left(self) -> float:
        """Processor time that is left."""
        return max(0.0, self._left)

    def run(self, work: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
        """The result of `work`, done in a thread of its own.

        Args:
            work: What to do; what it raises is raised here.
            stop: Called when a limit is reached; should make `work` end soon.

        Raises:
            LimitError: It took too long, or the process grew too large.
        """
        worker: _Worker[T] = _Worker(work)
        begun = time.monotonic()
        reason: str | None = None
        deadline = 0.0
        while not worker.wait(_LOOK_SECONDS):
            now = time.monotonic()
            if reason is None:
                reason = self._reason_against(worker, now - begun)
                if reason is not None:
                    deadline = now + (_GRACE_SECONDS if reason == self._too_long else _GRACE_SECONDS_IN_NEED)
                    stop()
            elif now > deadline:
                _left_behind.append(worker.thread)
                break
            elif reason == self._too_long and _resident_bytes() > self._most_resident:
                reason = self._too_much
                deadline = min(deadline, now + _GRACE_SECONDS_IN_NEED)
        self._left -= worker.seconds(time.monotonic() - begun)
        if reason is not None:
            raise self.error(reason)
        return worker.result()

    def error(self, reason: str) -> LimitError:
        """The error that says which limit was reached."""
        return LimitError(f"{self._what} {reason}", hint=self._hint)

    def too_large(self) -> LimitError:
        """The error that says that there is too little memory."""
        return self.error(self._too_much)

    @property
    def _too_much(self) -> str:
        return f"takes more than {self.peak_bytes // _MEBIBYTE} MiB of memory"

    @property
    def _too_long(self) -> str:
        return f"takes longer than {self._seconds:.3g} s"

    def _reason_against(self, worker: _Worker[T], elapsed: float) -> str | None:
        if worker.seconds(elapsed) > self._left or elapsed > _WALL_FACTOR * self._left + _GRACE_SECONDS:
            return self._too_long
        if _resident_bytes() > self._most_resident:
            return self._too_much
        return None


def check_budget(model: ir.Model, seconds: float | None = None, peak_bytes: int | None = None) -> Budget:
    """The budget for comparing a model with its rewritten forms.

    Args:
        model: The original, or what came of it with its shapes inferred: only with them is it known how large
            values are that are computed from constants alone, as weights of a ConstantOfShape.
        seconds: Processor time; by default more for a model of more weights.
        peak_bytes: Memory, likewise, and for what is computed from constants alone.
    """
    stored = sum(_bytes(value) for graph in graphs(model) for value in graph.initializers.values())
    stored += sum(
        _bytes(node.outputs[0]) for graph in graphs(model) for node in graph if is_constant_node(node)
    )
    return Budget(
        BASE_SECONDS + SECONDS_PER_WEIGHT_BYTE * stored if seconds is None else seconds,
        BASE_BYTES + BYTES_PER_WEIGHT_BYTE * stored + min(_computed_bytes(model.graph), MOST_COMPUTED_BYTES)
        if peak_bytes is None
        else peak_bytes,
        what="running the model to check it",
        hint="raise --check-timeout or --memory-limit, give smaller sizes with --shape, "
        "or write it unchecked with --no-check",
    )


def left_behind() -> bool:
    """Whether a run that did not stop is still going on in a thread of this process."""
    return any(thread.is_alive() for thread in _left_behind)


@contextlib.contextmanager
def limited_arena(options: Any, peak_bytes: int) -> Iterator[None]:
    """Give a session made in the block an arena of its own that holds at most so many bytes.

    The runtime has no such option for a session, only arenas shared between sessions, so one is offered for
    the time of the block.

    Args:
        options: The session's options, changed.
        peak_bytes: The arena's limit.
    """
    import onnxruntime as ort

    options.add_session_config_entry("session.use_env_allocators", "1")
    with _arena_lock:
        _offer_arena(ort, peak_bytes)
        try:
            yield
        finally:
            _offer_arena(ort, 0)


def _offer_arena(ort: Any, peak_bytes: int) -> None:
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    default = -1
    settings = {
        "max_mem": peak_bytes,
        "arena_extend_strategy": default,
        "initial_chunk_size_bytes": default,
        "max_dead_bytes_per_chunk": default,
    }
    ort.create_and_register_allocator(place, ort.OrtArenaCfg(settings))


class _Worker(Generic[T]):
    """Work in a daemon thread, and the processor time that it has taken."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._done = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._seconds: float | None = None
        self._clock: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it has come."""
        return self._done.wait(seconds)

    def seconds(self, elapsed: float) -> float:
        """Processor time so far; `elapsed` where the system does not tell."""
        if self._seconds is not None:
            return self._seconds
        if self._clock is not None:
            with contextlib.suppress(OSError):
                return time.clock_gettime(self._clock)
        return elapsed

    def result(self) -> T:
        """What the work returned; raises what it raised. To be asked once."""
        error, self._error = self._error, None
        if error is None:
            return self._result.pop()
        try:
            raise error
        finally:  # its traceback leads to this frame, and what the work held would live on in a cycle
            del error

    def _run(self) -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        assert self._work is not None
        try:
            self._result.append(self._work())
        except BaseException as error:  # told to whoever waits
            self._error = error
        self._work = None
        if self._clock is not None:
            self._seconds = time.clock_gettime(self._clock)
        self._done.set()


def _computed_bytes(graph: ir.Graph) -> int:
    """Size of what a graph computes from constants alone, defaults included, and reads beside other values.

    Such are weights; what is computed on the way to them is not counted, nor what becomes an output.
    """
    constants: set[ir.Value] = set(graph.initializers.values())
    computed: set[ir.Value] = set()
    read: dict[ir.Value, None] = {}
    for node in graph:
        known = all(value is None or value in constants or value in computed for value in node.inputs)
        if is_constant_node(node):
            constants.update(node.outputs)
        elif known and node.inputs and not subgraphs(node) and is_deterministic(node):
            computed.update(node.outputs)
        else:
            read.update((value, None) for value in node.inputs if value is not None and value in computed)
    return sum(map(_static_bytes, read))


def _static_bytes(value: ir.Value) -> int:
    """Size of a tensor of known type and shape; 0 where it is not known."""
    shape, dtype = static_shape(value), value.dtype
    if shape is None or dtype is None or dtype == ir.DataType.STRING:
        return 0
    return int(math.prod(shape) * dtype.itemsize)


def _bytes(value: ir.Value) -> int:
    tensor = constant_tensor(value)
    return 0 if tensor is None or tensor.dtype == ir.DataType.STRING else tensor.nbytes


def _resident_bytes() -> int:
    """Resident size of this process; 0 where the system does not tell."""
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
