"""Passes that change the process they run in, and count no change."""

from __future__ import annotations

import os
import random
import sys
import warnings

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes

from .base import Misbehaving


class Prints(Misbehaving):
    name = "prints"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        print("hello from a plug-in")
        sys.stdout.write("and again\n")
        warnings.warn("a plug-in warns", UserWarning, stacklevel=1)


class ChangesFolder(Misbehaving):
    name = "changes-folder"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        os.chdir("/")


class ChangesNumpy(Misbehaving):
    name = "changes-numpy"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        np.seterr(all="raise")
        np.set_printoptions(threshold=1)


class ChangesSeeds(Misbehaving):
    name = "changes-seeds"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        random.seed(0)
        np.random.seed(0)


class ChangesWarnings(Misbehaving):
    name = "changes-warnings"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        warnings.simplefilter("error")


class ChangesEnvironment(Misbehaving):
    name = "changes-environment"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        os.environ["TMPDIR"] = "/nowhere"
        os.environ.pop("PATH", None)


class ChangesRecursionLimit(Misbehaving):
    name = "changes-recursion-limit"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        sys.setrecursionlimit(120)


class ChangesFolderAndRaises(Misbehaving):
    name = "changes-folder-and-raises"

    def harm(self, model: ir.Model) -> None:
        os.chdir("/")
        raise ValueError("elsewhere")
