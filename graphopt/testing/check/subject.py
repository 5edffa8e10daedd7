"""What is checked: a pass of ours or of `onnx_ir`, a pipeline, its text, or a plain function on a model.

Makes one thing of them all: something to run, its name on the command line, and what it promises.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import count_nodes
from graphopt.pipeline import (
    FailedPassError,
    Group,
    Item,
    Pass,
    Pipeline,
    Record,
    default_catalog,
    format_item,
)
from graphopt.pipeline.named import load_named, names_file, place_of
from graphopt.pipeline.time_limit import OverTimeError, TimeLimit, default_timeout

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
        pass_timeout: Seconds that one run of a pass or of the function may take; None for a generous limit
            that grows with the model, infinity for none.
    """

    text: str
    pipeline: Pipeline | None = None
    function: Function | None = None
    pass_timeout: float | None = None

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
            return cls(_text_of(what), Pipeline([what]))
        if isinstance(what, Pipeline):
            return cls(",".join(_text_of(item) for item in what.items), what)
        if isinstance(what, type) and issubclass(what, ir.passes.PassBase):
            return cls.of(what())
        if callable(what):
            return cls(place_of(what), function=what)
        raise UsageError(
            f"cannot check {what!r}", hint="give a pass, a pipeline, its text, or a function on a model"
        )

    def within(self, pass_timeout: float | None) -> Subject:
        """The same with another limit of time, where one is given."""
        return self if pass_timeout is None else dataclasses.replace(self, pass_timeout=pass_timeout)

    @property
    def exact(self) -> bool:
        """Every pass says that it keeps each bit."""
        return self.pipeline is not None and all(
            isinstance(each, Pass) and each.exact for each in self.pipeline.passes()
        )

    @property
    def largest_error(self) -> float:
        """The largest that a lossy pass brings in, as a share of a tensor's largest element; 0 if none."""
        passes = () if self.pipeline is None else self.pipeline.passes()
        return max((each.largest_error for each in passes if isinstance(each, Pass)), default=0.0)

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
            FailedPassError: A pass of the pipeline raised, took too long, or left a graph that the verifier
                refuses; or a function took too long.
            Exception: Whatever a function raises.
        """
        if self.pipeline is not None:
            result = self.pipeline.run(model, pass_timeout=self.pass_timeout)
            return Outcome(result.model, result.records, sum(each.changes for each in result.records))
        assert self.function is not None
        returned = self._call(self.function, model)
        if isinstance(returned, ir.passes.PassResult):
            return Outcome(returned.model, [], int(returned.modified))
        return Outcome(returned if isinstance(returned, ir.Model) else model, [], None)

    def _call(self, function: Function, model: ir.Model) -> Any:
        seconds = self.pass_timeout
        limit = TimeLimit(default_timeout(model, count_nodes(model)) if seconds is None else seconds)
        try:
            with limit:
                return limit.call(lambda: function(model))
        except OverTimeError as error:
            if not limit.is_over(error):
                raise
            raise FailedPassError(self.text, "it took too long", seconds=limit.seconds) from error


def _of_text(text: str) -> Subject:
    if _OBJECT.fullmatch(text) or names_file(text):
        found = load_named(text)
        if not isinstance(found, type) or not issubclass(found, ir.passes.PassBase):
            return dataclasses.replace(Subject.of(found), text=text)
        return dataclasses.replace(Subject.of(found()), text=text)
    if re.search(r"-O\d", text):
        from graphopt.compile import pipeline_for

        return Subject(text, pipeline_for(2, text, ()))
    return Subject(text, Pipeline.parse(text))


def _text_of(item: Item) -> str:
    """The text of a pass or group, by which a new process finds it too."""
    text = format_item(item)
    if isinstance(item, Group):
        inner = format_item(dataclasses.replace(item, items=()))
        return f"{{{','.join(_text_of(each) for each in item.items)}{inner.removeprefix('{')}"
    if not isinstance(item, Pass):
        return place_of(type(item))
    if default_catalog().get(item.name) is type(item):
        return text
    return place_of(type(item)) + text.removeprefix(item.name)
