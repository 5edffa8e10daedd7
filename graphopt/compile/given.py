"""What the user gives: a model in any form, and what to run it with: data, shapes, or both, which must agree.

The one place where files, models in memory, PyTorch modules and `script.py:make_model` become the same
thing. torch is imported for the latter two only.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir

from graphopt.errors import DataError, ExecutionError, UsageError
from graphopt.execute import InputSet, load_inputs, make_inputs
from graphopt.io import load_with_notes

if TYPE_CHECKING:
    import onnx
    import torch

    from graphopt.pytorch.signature import Signature

    Source: TypeAlias = (
        str | os.PathLike[str] | onnx.ModelProto | ir.Model | torch.nn.Module | torch.export.ExportedProgram
    )

IN_MEMORY = "in memory"

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclasses.dataclass(frozen=True)
class Given:
    """A model as it was given.

    Attributes:
        model: In the graph IR.
        source: What to call it: its file, "script.py:make_model", the class of the module, or "in memory".
        notes: Repairs made to it, and what its trace says about it.
        file: The file it was read from, if it was.
        call: Runs the module that it was traced from on its example inputs, if there is one.
        signature: How it stands for that module.
        examples: The inputs it was traced with, under its own input names; empty if it was not traced.
    """

    model: ir.Model
    source: str
    notes: list[str]
    file: str | None = None
    call: Callable[[], Any] | None = None
    signature: Signature | None = None
    examples: tuple[InputSet, ...] = ()

    def data(self, given: Sequence[InputSet] | None, shapes: Mapping[str, Sequence[int]] | None) -> Data:
        """What to check and what to measure the model with.

        Args:
            given: Data from the user, which goes before everything else.
            shapes: Shapes from the user, for which inputs are made.
        """
        if given is not None or shapes is not None or not self.examples:
            return Data(given, given, shapes, given is not None or shapes is not None)
        return Data(
            [*self.examples, *_of_other_sizes(self.model, self.examples[0])],
            self.examples,
            self.example_shapes,
            False,
        )

    @property
    def example_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Input name -> shape in the first of the example inputs; None without any."""
        return (
            {name: np.shape(value) for name, value in self.examples[0].values.items()}
            if self.examples
            else None
        )


@dataclasses.dataclass(frozen=True)
class Data:
    """What to run a model with; None lets inputs be made.

    Attributes:
        check: Sets to compare outputs on.
        measure: Sets to measure with.
        shapes: Input name -> shape to make inputs of, for the check.
        insisted: The user asked for just these data or shapes, so what does not run with them is an error.
    """

    check: Sequence[InputSet] | None
    measure: Sequence[InputSet] | None
    shapes: Mapping[str, Sequence[int]] | None
    insisted: bool


def open_given(source: Source, example_inputs: Any = None, dynamic_shapes: Any = None) -> Given:
    """Load a model, or trace a module.

    Args:
        source: A file, a `ModelProto`, an `onnx_ir.Model`, a PyTorch module or exported program, or text such
            as "script.py:make_model" that names a function which returns one with its example inputs.
        example_inputs: What to trace a module with, as `graphopt.trace` takes it.
        dynamic_shapes: Dimensions of a module's inputs that may vary, likewise.

    Raises:
        GraphoptError: The model cannot be read, or the module cannot be traced.
        UsageError: Example inputs were given for what is no module, or none for a module.
    """
    if is_module(source):
        return _traced(source, example_inputs, dynamic_shapes, type(source).__name__)
    if example_inputs is not None or dynamic_shapes is not None:
        what = "example_inputs" if example_inputs is not None else "dynamic_shapes"
        raise UsageError(
            f"{what} is for PyTorch modules, found {_kind(source)}",
            hint="inputs= gives data for a model; a script's function returns its own example inputs",
        )
    script = script_of(source)
    if script is not None:
        return _from_script(*script)
    model, notes = load_with_notes(source)
    if isinstance(source, (str, os.PathLike)):
        return Given(model, os.fspath(source), notes, file=os.fspath(source))
    return Given(model, IN_MEMORY, notes)


def is_module(source: object) -> bool:
    """Whether something is a PyTorch module or exported program, or the class of one, which a trace refuses.

    torch is not imported to find out.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    exported = getattr(sys.modules.get("torch.export"), "ExportedProgram", ())
    kinds = (torch.nn.Module, exported) if exported else (torch.nn.Module,)
    return isinstance(source, kinds) or (isinstance(source, type) and issubclass(source, kinds))


def example_in(calibration: Any, module: Any) -> Any:
    """What to trace a module with: the first of its calibration samples, if these can be gone through again.

    Of a tuple as a DataLoader gives, labels behind the arguments that the module needs are left out.

    Raises:
        DataError: There is no sample.
    """
    import torch

    if calibration is None or isinstance(calibration, (str, os.PathLike, Mapping)):
        return None
    if not callable(calibration) and (
        not hasattr(calibration, "__iter__") or iter(calibration) is calibration
    ):
        return None
    first = next(iter(calibration() if callable(calibration) else calibration), None)
    if isinstance(first, InputSet):
        first = first.values
    if first is None:
        raise DataError("the calibration data hold no sample")
    if not isinstance(module, torch.nn.Module):
        return None
    if isinstance(first, Mapping):
        return {name: torch.as_tensor(value) for name, value in first.items()}
    parameters = inspect.signature(module.forward).parameters.values()
    needed = sum(each.default is each.empty and each.kind in _BY_PLACE for each in parameters)
    arguments = first[: max(needed, 1)] if isinstance(first, (tuple, list)) else (first,)
    return tuple(torch.as_tensor(value) for value in arguments)


def is_traced(source: object) -> bool:
    """Whether it takes a trace to get at the graph of what was given."""
    return is_module(source) or script_of(source) is not None


def script_of(source: object) -> tuple[Path, str] | None:
    """The script and function that `script.py:make_model` names; None where it is something else.

    The script is the longest part before a colon that ends in `.py`, so drive letters are no obstacle.

    Raises:
        UsageError: A script is named without a function.
    """
    if not isinstance(source, (str, os.PathLike)):
        return None
    text = os.fsdecode(source)
    script, colon, function = text.rpartition(":")
    if colon and script.endswith(".py") and function.isidentifier():
        return Path(script), function
    if text.endswith(".py") or (colon and script.endswith(".py")):
        raise UsageError(
            f"{text} names no function",
            hint=f"{text.rstrip(':')}:make_model, say, where make_model returns a module and example inputs",
        )
    return None


def read_inputs(
    inputs: Any, shapes: Mapping[str, Sequence[int]] | None, model: ir.Model | None = None
) -> list[InputSet] | None:
    """The sets of inputs that a user gave; None if there are none.

    Args:
        inputs: A file, a folder, arrays by input name, or None.
        shapes: Input name -> shape. Every size is at least 1.
        model: Checked against its inputs if given.

    Raises:
        UsageError: The data cannot be read or does not fit the model, a size is below 1, or an array is not
            of the shape given for it.
    """
    for name, shape in (shapes or {}).items():
        if any(size < 1 for size in shape):
            raise UsageError(f"the shape {_text(shape)} of {name!r} has a size below 1")
    if inputs is None:
        return None
    sets = load_inputs(inputs, model)
    for one in sets:
        for name in shapes or {}:
            _agree(name, (shapes or {})[name], one)
    return sets


def shapes_run_at(
    shapes: Mapping[str, Sequence[int]] | None, inputs: Sequence[InputSet] | None
) -> Mapping[str, Sequence[int]] | None:
    """Input name -> shape at which a model is measured: as asked for, or of the data; None without either."""
    if shapes or not inputs:
        return shapes
    return {name: value.shape for name, value in inputs[0].values.items() if hasattr(value, "shape")}


def _from_script(script: Path, function: str) -> Given:
    from graphopt.pytorch import require_torch

    name = f"{script}:{function}"
    require_torch(name)
    from graphopt.pytorch.importer.script import make_from_script

    made = make_from_script(script, function)
    return _traced(made.module, made.example_inputs, made.dynamic_shapes, name)


def _traced(module: Any, example_inputs: Any, dynamic_shapes: Any, source: str) -> Given:
    """Trace a module; its example inputs are data to check and measure with."""
    from graphopt.pytorch import trace
    from graphopt.pytorch.arrays import to_numpy
    from graphopt.pytorch.signature import SIGNATURE_KEY, arguments

    traced = trace(module, example_inputs, dynamic_shapes)
    signature: Signature = traced.meta[SIGNATURE_KEY]
    if example_inputs is None:
        args, kwargs = module.example_inputs
    else:
        args, kwargs = arguments(example_inputs, signature.parameters)
    values = {name: to_numpy(value) for name, value in signature.flatten_call(args, kwargs).items()}
    model, notes = load_with_notes(traced)
    model.meta[SIGNATURE_KEY] = signature
    return Given(
        model,
        source,
        [_what_was_traced(module, model), *signature.notes, *notes],
        call=lambda: _call(module, args, kwargs),
        signature=signature,
        examples=(InputSet(values, description="example inputs"),),
    )


def _what_was_traced(module: Any, model: ir.Model) -> str:
    """Class, parameters and free dimensions of what was traced, in one line."""
    parameters = sum(parameter.numel() for parameter in module.parameters())
    free = [str(dim) for value in model.graph.inputs for dim in value.shape or () if not isinstance(dim, int)]
    varies = f", any {' and '.join(dict.fromkeys(free))}" if free else ", sizes as in the example inputs"
    return f"traced from {type(module).__name__}: {parameters:,} parameters{varies}"


def _call(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What a module, in eval mode, or an exported program returns."""
    from graphopt.pytorch.importer.eager import in_eval_mode

    runnable = module if hasattr(module, "named_modules") else module.module()
    with in_eval_mode(runnable):
        return runnable(*args, **kwargs)


def _of_other_sizes(model: ir.Model, example: InputSet) -> list[InputSet]:
    """Inputs made to fit, of other sizes than the example's where those may vary."""
    if all(value.shape is not None and value.shape.is_static() for value in model.graph.inputs):
        return []
    try:
        made = make_inputs(model, count=2)
    except ExecutionError:
        return []
    return [
        dataclasses.replace(one, description="made to fit")
        for one in made
        if any(np.shape(value) != np.shape(example.values[name]) for name, value in one.values.items())
    ]


def _kind(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    return f"a {type(source).__name__}"


def _agree(name: str, shape: Sequence[int], given: InputSet) -> None:
    value = given.values.get(name)
    if value is not None and not isinstance(value, list) and np.shape(value) != tuple(shape):
        raise UsageError(
            f"the shape of {name!r} is {_text(shape)}, but the inputs of "
            f"{given.description.partition(':')[0]} have {_text(np.shape(value))}",
            hint="give one of the two: inputs have shapes of their own",
        )


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "no dimensions"
