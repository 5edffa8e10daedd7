"""Passes that raise, each something else."""

from __future__ import annotations

import signal
import sys

import onnx_ir as ir

from .base import Misbehaving


class RaisesException(Misbehaving):
    name = "raises-exception"

    def harm(self, model: ir.Model) -> None:
        raise ZeroDivisionError("by nothing")


class RaisesWithoutText(Misbehaving):
    name = "raises-without-text"

    def harm(self, model: ir.Model) -> None:
        raise KeyError


class RaisesUnprintable(Misbehaving):
    name = "raises-unprintable"

    def harm(self, model: ir.Model) -> None:
        class Unprintable(Exception):
            def __str__(self) -> str:
                raise ValueError("no text")

        raise Unprintable


class RaisesSystemExit(Misbehaving):
    name = "raises-system-exit"

    def harm(self, model: ir.Model) -> None:
        sys.exit(0)


class RaisesMemoryError(Misbehaving):
    name = "raises-memory-error"

    def harm(self, model: ir.Model) -> None:
        raise MemoryError


class RaisesRecursionError(Misbehaving):
    name = "raises-recursion-error"

    def harm(self, model: ir.Model) -> None:
        self.harm(model)


class RaisesGeneratorExit(Misbehaving):
    name = "raises-generator-exit"

    def harm(self, model: ir.Model) -> None:
        raise GeneratorExit


class RaisesBaseException(Misbehaving):
    name = "raises-base-exception"

    def harm(self, model: ir.Model) -> None:
        raise BaseException("of no kind")


class RaisesAfterChanging(Misbehaving):
    name = "raises-after-changing"

    def harm(self, model: ir.Model) -> None:
        for node in model.graph:
            node.op_type = "Neg"
        raise ValueError("half done")


class RaisesKeyboardInterrupt(Misbehaving):
    name = "raises-keyboard-interrupt"

    def harm(self, model: ir.Model) -> None:
        raise KeyboardInterrupt


class SendsTheProcessASignal(Misbehaving):
    name = "sends-the-process-a-signal"

    def harm(self, model: ir.Model) -> None:
        signal.raise_signal(signal.SIGTERM)
