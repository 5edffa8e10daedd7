"""What is checked: a pass of ours or of `onnx_ir`, a pipeline, its text, or a plain function on a model.

Makes one thing of them all: something to run, its name on the command line, and what it promises.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.pipeline import Group, Pass, Pipeline, Record, default_catalog, format_item

Function = Callable[[ir.Model], Any]
"""Changes a model in place, or returns another, or a pass result."""
PassLike = ir.passes.PassBase | Pipeline | str | Function

_OBJECT = re.compile(r"[^\s,{}*=\[\]]+:[A-Za-z_][\w.]*")
"""`module:name` or `path/to/file.py:name`, without options."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run left.

    Attributes:
        model: The model after.
        records: Of the pipeline's passes; empty for a function.
        counted: Number of changes claimed; None for a function that claims nothing.
    """

    model: ir.Model
    records: list[Record]
    counted: int | None


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something that changes models.

    Attributes:
        text: As the command line takes it.
        pipeline: What is run; None for a function.
        function: What is run; None for a pipeline.
    """

    text: str
    pipeline: Pipeline | None = None
    function: Function | None = None

    @classmethod
    def of(cls, what: PassLike | Subject) -> Subject:
        """The subject that is meant.

        Raises:
            UsageError: A text names no pass, or an object is none of the things that can be checked.
        """
        if isinstance(what, Subject):
            return what
        if isinstance(what, str):
            return _of_text(what)
        if isinstance(what, ir.passes.PassBase):
            return cls(_text_of_pass(what), Pipeline([what]))
        if isinstance(what, Pipeline):
            return cls(str(what), what)
        if isinstance(what, type) and issubclass(what, ir.passes.PassBase):
            return cls.of(what())
        if callable(what):
            return cls(_place(what), function=what)
        raise UsageError(
            f"cannot check {what!r}", hint="give a pass, a pipeline, its text, or a function on a model"
        )

    @property
    def exact(self) -> bool:
        """Every pass says that it keeps each bit."""
        return self.pipeline is not None and all(
            isinstance(each, Pass) and each.exact for each in self.pipeline.passes()
        )

    @property
    def keeps_defaults(self) -> bool:
        """No pass says that it takes away the defaults of inputs."""
        return self.pipeline is None or all(
            not isinstance(each, Pass) or each.keeps_defaults for each in self.pipeline.passes()
        )

    @property
    def is_foreign(self) -> bool:
        """It holds what is no pass of graphopt's kind."""
        return self.pipeline is None or not all(isinstance(each, Pass) for each in self.pipeline.passes())

    @property
    def settles(self) -> bool:
        """One run promises to leave nothing for a second: one pass or one group, not a row of them."""
        return self.pipeline is None or len(self.pipeline.items) <= 1

    @property
    def leaves_input(self) -> bool:
        """It promises to return another model and to leave the one that it is given."""
        if self.pipeline is None or len(self.pipeline.items) != 1:
            return False
        (item,) = self.pipeline.items
        return not isinstance(item, Group) and not item.changes_input

    def run(self, model: ir.Model) -> Outcome:
        """Run on `model`, which may be changed in place.

        Raises:
            FailedPassError: A pass of the pipeline raised, or left a graph that the verifier refuses.
            Exception: Whatever a function raises.
        """
        if self.pipeline is not None:
            result = self.pipeline.run(model)
            return Outcome(result.model, result.records, sum(each.changes for each in result.records))
        assert self.function is not None
        returned = self.function(model)
        if isinstance(returned, ir.passes.PassResult):
            return Outcome(returned.model, [], int(returned.modified))
        return Outcome(returned if isinstance(returned, ir.Model) else model, [], None)


def _of_text(text: str) -> Subject:
    if _OBJECT.fullmatch(text):
        found = _load(text)
        if not isinstance(found, type) or not issubclass(found, ir.passes.PassBase):
            return dataclasses.replace(Subject.of(found), text=text)
        return dataclasses.replace(Subject.of(found()), text=text)
    if re.search(r"-O\d", text):
        from graphopt.compile import pipeline_for

        return Subject(text, pipeline_for(2, text, ()))
    return Subject(text, Pipeline.parse(text))


def _load(text: str) -> Any:
    module, _, attribute = text.rpartition(":")
    try:
        found: Any = _module_of_file(Path(module)) if module.endswith(".py") else _module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise UsageError(
            f"cannot load the pass {text!r}: {error}",
            hint="write it as module:Class, or as path/to/file.py:Class",
        ) from error
    return found


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _module_of_file(path: Path) -> Any:
    name = f"graphopt_checked_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def _text_of_pass(item: ir.passes.PassBase) -> str:
    text = format_item(item)
    if not isinstance(item, Pass):
        return _place(type(item))
    if default_catalog().get(item.name) is type(item):
        return text
    return _place(type(item)) + text.removeprefix(item.name)


def _place(found: Any) -> str:
    """Where a class or function is found: `module:name`, or its file where the module cannot be imported."""
    owner = found if hasattr(found, "__qualname__") else type(found)
    module, name = owner.__module__, owner.__qualname__
    if _is_importable(module, owner):
        return f"{module}:{name}"
    try:
        file = Path(inspect.getfile(owner))
    except (OSError, TypeError):
        return f"{module}:{name}"
    here = Path.cwd()
    return f"{os.path.relpath(file, here) if file.is_relative_to(here) else file}:{name}"


def _is_importable(module: str, owner: Any) -> bool:
    """Whether a new process that starts here finds the same file under the module's name."""
    if module == "__main__":
        return False
    try:
        specification = importlib.util.find_spec(module)
        return specification is not None and specification.origin == inspect.getfile(owner)
    except (ImportError, ValueError, OSError, TypeError):
        return False
