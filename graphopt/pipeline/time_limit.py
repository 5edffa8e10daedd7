"""Stops a call that runs for too long.

In the main thread a timer's signal does it, which also ends sleeps and waits for locks, pipes and processes.
In other threads, and where the program uses that timer itself, an exception is sent to the thread, which
notices it once it runs Python code again. Nothing here stops C code that neither returns nor lets signals
through. Limits may stand within each other: those of the main thread share the timer.
"""

from __future__ import annotations

import ctypes
import math
import signal
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import onnx_ir as ir

from graphopt.ir import graphs

T = TypeVar("T")

SECONDS = 60.0
"""That any pass run may take, and what more it may for each node and each GiB of weights."""
SECONDS_PER_NODE = 0.01
SECONDS_PER_GIB = 10.0

TICKS = 8
"""Parts that a limit is counted in. A process that was stopped or slept through several counts one."""

SHORTEST_TICK = 0.01
"""Seconds; so that no second signal comes while the first is dealt with."""

LONGEST_REPEAT = 0.5
"""Seconds after which a call that caught the exception is told again."""


class OverTimeError(BaseException):
    """A call took too long. No `Exception`, which a pass may well catch.

    Attributes:
        limit: The limit that it went over; None where that is the innermost.
    """

    def __init__(self, limit: TimeLimit | None = None) -> None:
        super().__init__()
        self.limit = limit


def default_timeout(model: ir.Model, nodes: int) -> float:
    """Seconds that a pass may take on a model of so many nodes: far more than any that ends."""
    tensors = {
        id(value.const_value): value.const_value.nbytes
        for graph in graphs(model)
        for value in graph.initializers.values()
        if value.const_value is not None
    }
    return SECONDS + SECONDS_PER_NODE * nodes + SECONDS_PER_GIB * sum(tensors.values()) / 2**30


class TimeLimit:
    """Calls what may take so many seconds; a context manager around any number of calls.

    Args:
        seconds: For each call; infinity is no limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._tick = max(seconds / TICKS, SHORTEST_TICK)
        self._repeat = min(self._tick, LONGEST_REPEAT)
        self._alarm = False
        self._outer: TimeLimit | None = None
        self._running = False
        self._left = seconds

    def __enter__(self) -> TimeLimit:
        if not math.isinf(self.seconds):
            self._outer = _owner_of_alarm()
            self._alarm = self._outer is not None or _alarm_is_free()
        if self._alarm:
            signal.signal(signal.SIGALRM, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        if self._alarm:
            signal.signal(signal.SIGALRM, signal.SIG_DFL if self._outer is None else self._outer._count)
            self._outer = None

    def call(self, what: Callable[[], T]) -> T:
        """The result of `what()`.

        Raises:
            OverTimeError: It was interrupted, by this limit or by one around it.
        """
        if math.isinf(self.seconds):
            return what()
        return self._alarmed(what) if self._alarm else self._watched(what)

    def is_over(self, error: OverTimeError) -> bool:
        """Whether it is this limit that a call went over."""
        return error.limit is None or error.limit is self

    def _alarmed(self, what: Callable[[], T]) -> T:
        self._left = max(self.seconds, SHORTEST_TICK)
        if self._outer is not None:
            self._charge(*signal.setitimer(signal.ITIMER_REAL, 0))
        self._running = True
        try:
            try:
                self._start_timer()
                return what()
            finally:
                self._running = False  # a signal right before this line still leads to the next block
        finally:
            stopped = signal.setitimer(signal.ITIMER_REAL, 0)
            self._running = False
            if self._outer is not None:
                self._charge(*stopped)
                self._start_timer()

    def _count(self, number: int, frame: object) -> None:
        self._charge(0.0, signal.getitimer(signal.ITIMER_REAL)[1])
        if over := self._exhausted():
            signal.setitimer(signal.ITIMER_REAL, over._repeat, over._repeat)
            raise OverTimeError(over)

    def _active(self) -> list[TimeLimit]:
        """This limit and those around it, of calls that run, outermost first."""
        around = [] if self._outer is None else self._outer._active()
        return [*around, self] if self._running else around

    def _charge(self, left_of_tick: float, tick: float) -> None:
        for limit in self._active():
            limit._left -= tick - left_of_tick

    def _exhausted(self) -> TimeLimit | None:
        return next((limit for limit in self._active() if limit._left < SHORTEST_TICK / 2), None)

    def _start_timer(self) -> None:
        """Start it for the shortest tick of all calls that run, or not at all.

        Raises:
            OverTimeError: Calls inside, each too short for a tick, have used up the time.
        """
        if self._outer is None:
            if self._running:
                signal.setitimer(signal.ITIMER_REAL, self._tick, self._tick)
            return
        active = self._active()
        if over := self._exhausted():
            signal.setitimer(signal.ITIMER_REAL, over._repeat, over._repeat)
            raise OverTimeError(over)
        if active:
            tick = min(min(each._tick, each._left) for each in active)
            signal.setitimer(signal.ITIMER_REAL, tick, tick)

    def _watched(self, what: Callable[[], T]) -> T:
        target = threading.get_ident()
        ended = threading.Event()
        lock = threading.Lock()
        running = True
        sent = False

        def watch() -> None:
            nonlocal sent
            for _ in range(TICKS):
                if ended.wait(self._tick):
                    return
            while True:
                with lock:
                    if running:
                        sent = True
                        _send(target, OverTimeError)
                if ended.wait(self._repeat):
                    return

        threading.Thread(target=watch, daemon=True).start()
        try:
            try:
                return what()
            finally:
                with lock:
                    running = False
        finally:
            ended.set()
            with lock:
                running = False
            if sent:
                _take_back(target)


def _owner_of_alarm() -> TimeLimit | None:
    """The limit in this thread to which the timer's signal belongs."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return None
    owner = getattr(signal.getsignal(signal.SIGALRM), "__self__", None)
    return owner if isinstance(owner, TimeLimit) else None


def _alarm_is_free() -> bool:
    """Whether the timer's signal can be ours for a while: signals reach the main thread alone."""
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL)[0] == 0
    )


class _ArrivedError(BaseException):
    pass


def _take_back(thread: int) -> None:
    """Let no exception be under way to this thread.

    One that is taken back by sending none leaves the interpreter looking for it at every call for good, and
    Python 3.11 hangs on that where it is traced; so another one takes its place, which is waited for.
    """
    try:
        _send(thread, _ArrivedError)
        while True:
            time.sleep(0)
    except _ArrivedError:
        pass


def _send(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
