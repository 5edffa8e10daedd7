"""Calls within a limit of time: what interrupts them, what does not, and what passes get by default."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from graphopt.ir import count_nodes
from graphopt.pipeline.time_limit import OverTimeError, TimeLimit, default_timeout
from graphopt.testing import parse_model


def test_results_and_errors_come_through() -> None:
    with TimeLimit(60) as limit:
        assert limit.call(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            limit.call(lambda: 1 // 0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_each_call_has_the_whole_time() -> None:
    with TimeLimit(1) as limit:
        for _ in range(5):
            limit.call(lambda: time.sleep(0.25))
        with pytest.raises(OverTimeError):
            limit.call(lambda: time.sleep(60))
        assert limit.call(lambda: 7) == 7


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_nothing_comes_late(in_main_thread: bool) -> None:
    """Calls that end just when their time does: the exception comes inside the call or not at all."""

    def spin(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    def try_many() -> None:
        with TimeLimit(0.08) as limit:
            for index in range(10):
                with contextlib.suppress(OverTimeError):
                    limit.call(lambda: spin(0.07 + 0.002 * index))  # noqa: B023 called at once
                spin(0.01)
        ended.append(True)

    ended: list[bool] = []
    if in_main_thread:
        try_many()
    else:
        thread = threading.Thread(target=try_many)
        thread.start()
        thread.join()
    assert ended == [True]


def test_one_limit_within_another() -> None:
    with TimeLimit(60) as outer, TimeLimit(0.1) as inner:

        def spin() -> None:
            while True:
                time.sleep(0.001)

        with pytest.raises(OverTimeError):
            outer.call(lambda: inner.call(spin))


def test_limits_within_each_other_share_the_timer() -> None:
    """Each interrupts its own call, and none goes through a thread."""

    def inside() -> int:
        with TimeLimit(0.1) as inner:
            with pytest.raises(OverTimeError) as raised:
                inner.call(lambda: time.sleep(60))
            assert inner.is_over(raised.value) and not outer.is_over(raised.value)
            assert threading.active_count() == threads
            return inner.call(lambda: 7)

    threads = threading.active_count()
    with TimeLimit(60) as outer:
        assert outer.call(inside) == 7
        assert outer.call(lambda: 8) == 8
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.parametrize("seconds", [0.002, 0.3, 60])
def test_what_is_within_does_not_stretch_the_limit(seconds: float) -> None:
    """Neither one long call inside, nor many that are shorter than a tick."""

    def inside() -> None:
        while True:
            with TimeLimit(60) as inner:
                inner.call(lambda: time.sleep(seconds))

    start = time.monotonic()
    with TimeLimit(0.4) as outer:
        with pytest.raises(OverTimeError) as raised:
            outer.call(inside)
        assert outer.is_over(raised.value)
        outer.call(lambda: None)
    assert 0.3 < time.monotonic() - start < 2
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


STOPPED = textwrap.dedent("""
    import os, signal, sys, time
    from graphopt.pipeline.time_limit import TimeLimit
    def work():
        os.write(1, b"ready")
        time.sleep(0.2)
        return "ended"
    with TimeLimit(1.2) as limit:
        print(limit.call(work))
""")


def test_time_in_which_the_process_was_stopped_does_not_count() -> None:
    """Ctrl-Z, a debugger or a laptop that sleeps: all that time is one tick of the limit."""
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and os.read(process.stdout.fileno(), 5) == b"ready"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "ended\n"


def test_the_default_grows_with_the_model() -> None:
    text = "main (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add (x, w) }"
    model = parse_model(text)
    assert count_nodes(model) == 1
    assert default_timeout(model, 1) >= 60
    assert default_timeout(model, 100_000) >= 1000


def test_nothing_is_under_way_afterwards() -> None:
    """Python 3.11 hangs in traced functions where an asynchronous exception is still looked for."""
    code = """
import sys, threading, time
from graphopt.pipeline.time_limit import OverTimeError, TimeLimit

def work():
    for seconds in (0.05, 60.0):
        try:
            TimeLimit(seconds).call(lambda: [time.sleep(0.01) for _ in range(30)])
        except OverTimeError:
            pass

thread = threading.Thread(target=work)
thread.start()
thread.join()
sys.settrace(lambda *_: None)
(lambda: None)()
print("ended")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "ended\n", ran.stderr
