"""Passes that do not end by themselves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time

import onnx_ir as ir

from .base import Misbehaving


class HangsInPython(Misbehaving):
    name = "hangs-in-python"

    def harm(self, model: ir.Model) -> None:
        while True:
            pass


class HangsCatching(Misbehaving):
    name = "hangs-catching"

    def harm(self, model: ir.Model) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)


class HangsCatchingOnceAll(Misbehaving):
    name = "hangs-catching-once-all"

    def harm(self, model: ir.Model) -> None:
        with contextlib.suppress(BaseException):
            time.sleep(600)
        time.sleep(600)


class HangsAsleep(Misbehaving):
    name = "hangs-asleep"

    def harm(self, model: ir.Model) -> None:
        time.sleep(600)


class HangsOnALock(Misbehaving):
    name = "hangs-on-a-lock"

    def harm(self, model: ir.Model) -> None:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


class HangsReading(Misbehaving):
    name = "hangs-reading"

    def harm(self, model: ir.Model) -> None:
        ends = os.pipe()
        try:
            os.read(ends[0], 1)
        finally:
            os.close(ends[0])
            os.close(ends[1])


class TakesItsTime(Misbehaving):
    """No harm: it ends."""

    name = "takes-its-time"

    def harm(self, model: ir.Model) -> None:
        time.sleep(0.3)


class HangsInC(Misbehaving):
    """In a function that knows nothing of Python, but gives way to signals."""

    name = "hangs-in-c"

    def harm(self, model: ir.Model) -> None:
        while True:
            ctypes.CDLL(None).sleep(600)
