"""Inputs that the user brings: .npz, .npy, a folder of them, or ONNX `test_data_set_*` folders.

Reads files and checks them against a model's inputs; nothing is converted, guessed or run.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import DataError
from graphopt.execute.inputs import InputSet, describe_value
from graphopt.execute.sizes import required_inputs

Source = str | os.PathLike[str] | Mapping[str, Any]


def load_inputs(source: Source, model: ir.Model | None = None) -> list[InputSet]:
    """Read sets of inputs.

    Args:
        source: Arrays by input name; or an .npz (one set, an array per input), an .npy (the only input), a
            folder of .npz (a set each), of .npy (one set, a file per input) or of `test_data_set_*`, or one
            such data set (`input_0.pb` ... in the order of the model's inputs).
        model: Checked against its inputs if given.

    Raises:
        DataError: nothing to read, an unreadable file, or arrays that do not fit the model.
    """
    if isinstance(source, Mapping):
        sets = [InputSet(dict(source), description="given arrays")]
    else:
        sets = _read(Path(source))
    return fit_inputs(model, sets) if model is not None else sets


def fit_inputs(model: ir.Model, sets: Sequence[InputSet]) -> list[InputSet]:
    """The sets under the model's input names, checked for names, types and shapes.

    Raises:
        DataError: naming the input, what the model expects and what was given.
    """
    if not sets:
        raise DataError("no set of inputs was given")
    return [_fit(model, one) for one in sets]


def _read(path: Path) -> list[InputSet]:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise DataError(
            f"no such file or folder of inputs: {path}",
            hint="a folder of .npz files is read, each with an array for every input of the model",
        )
    if path.suffix not in (".npz", ".npy"):
        raise DataError(f"cannot read inputs from {path}", hint="give an .npz, an .npy or a folder")
    loaded = _load(path)
    values = loaded if isinstance(loaded, dict) else {path.stem: loaded}
    return [InputSet(values, description=path.name)]


def _read_folder(folder: Path) -> list[InputSet]:
    if list(folder.glob("input_*.pb")):
        return [_read_data_set(folder)]
    if data_sets := sorted(folder.glob("test_data_set_*"), key=_number):
        return [_read_data_set(one) for one in data_sets]
    if archives := sorted(folder.glob("*.npz")):
        return [InputSet(_load(one), description=one.name) for one in archives]
    if arrays := sorted(folder.glob("*.npy")):
        return [InputSet({one.stem: _load(one) for one in arrays}, description=folder.name)]
    raise DataError(
        f"no inputs in the folder {folder}", hint="expected .npz files, .npy files or test_data_set_* folders"
    )


def _number(path: Path) -> tuple[int, str]:
    return _place(path.stem)


def _place(name: str) -> tuple[int, str]:
    """Where `input_10` stands among others: behind `input_9`, in whatever order they were stored."""
    digits = name.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else -1, name)


def _load(path: Path) -> Any:
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        system = error.strerror if isinstance(error, OSError) else None
        raise DataError(
            f"cannot read {path}: {system or 'it is damaged, or no numpy data of numbers or text'}",
            hint=None if system else "write it with numpy.savez(path, input_name=array, ...)",
        ) from error


def _read_data_set(folder: Path) -> InputSet:
    values: dict[str, Any] = {}
    for position, path in enumerate(sorted(folder.glob("input_*.pb"), key=_number)):
        name, value = _read_proto(path)
        values[name or f"input_{position}"] = value
    return InputSet(values, description=folder.name)


def _read_proto(path: Path) -> tuple[str, Any]:
    import onnx
    from onnx import numpy_helper

    def tensor() -> tuple[str, Any]:
        proto = onnx.TensorProto.FromString(data)
        return proto.name, numpy_helper.to_array(proto)

    def sequence() -> tuple[str, Any]:
        proto = onnx.SequenceProto.FromString(data)
        return proto.name, numpy_helper.to_list(proto)

    data = path.read_bytes()
    # The file does not say which of the two it holds, and either may parse as the other.
    failure: Exception | None = None
    for read in (tensor, sequence):
        try:
            return read()
        except Exception as error:  # protobuf's DecodeError has no typed home; numpy raises several others
            failure = failure or error
    raise DataError(f"cannot read {path} as an ONNX tensor: {failure}") from failure


def _fit(model: ir.Model, given: InputSet) -> InputSet:
    wanted = {value.name or "": value for value in model.graph.inputs}
    required = [value.name or "" for value in required_inputs(model)]
    values = given.values
    unknown = [name for name in values if name not in wanted]
    positional = len(unknown) == len(values) == len(required)
    if positional and (len(values) == 1 or all(name.startswith("input_") for name in values)):
        values = dict(zip(required, (values[name] for name in sorted(values, key=_place)), strict=True))
    elif unknown:
        raise DataError(
            f"the inputs {_of(given)}have {unknown[0]!r}, which is not an input of the model",
            hint=f"the inputs are {', '.join(required)}",
        )
    if missing := [name for name in required if name not in values]:
        raise DataError(
            f"the inputs {_of(given)}lack {missing[0]!r}", hint=f"the inputs are {', '.join(required)}"
        )
    bindings: dict[str, int] = {}
    fitted = {name: _fit_value(wanted[name], value, bindings, given) for name, value in values.items()}
    described = ", ".join(f"{name} {describe_value(value)}" for name, value in fitted.items())
    origin = f"{given.description}: " if given.description else ""
    return InputSet(fitted, bindings, f"{origin}{described}", list(given.notes))


def _of(given: InputSet) -> str:
    return f"of {given.description} " if given.description else ""


def _fit_value(value: ir.Value, array: Any, bindings: dict[str, int], given: InputSet) -> Any:
    if isinstance(value.type, ir.SequenceType | ir.OptionalType):
        return array
    array = np.asarray(array)
    expected = value.dtype
    if expected is not None:
        if array.dtype.kind == "V" and array.dtype.itemsize == expected.numpy().itemsize:
            array = array.view(expected.numpy())  # numpy files cannot name bfloat16 and float8
        is_text = expected == ir.DataType.STRING and array.dtype.kind in "OUS"
        if not is_text and array.dtype != expected.numpy():
            raise DataError(
                f"input {value.name!r} {_of(given)}has type {array.dtype}, expected {expected.numpy()}",
                hint=_conversion(array, expected.numpy()),
            )
        array = array.astype(object) if is_text else array
    if value.shape is None:
        return array
    declared = [dim if isinstance(dim, int) else dim.value for dim in value.shape]
    text = "x".join("?" if dim is None else str(dim) for dim in declared) or "a scalar"
    wrong = len(declared) != array.ndim
    for dim, size in zip(declared, array.shape, strict=False):
        if isinstance(dim, str) and dim not in ("?", ""):
            wrong |= bindings.setdefault(dim, size) != size
        wrong |= isinstance(dim, int) and dim >= 0 and dim != size
    if wrong:
        raise DataError(
            f"input {value.name!r} {_of(given)}has shape {'x'.join(map(str, array.shape)) or 'of a scalar'}, "
            f"expected {text}",
            hint=", ".join(f"{dim} is {size}" for dim, size in bindings.items()) or None,
        )
    return array


def _conversion(array: np.ndarray[Any, Any], expected: np.dtype[Any]) -> str | None:
    """How to make numbers of one type those of another; None where that would change what they mean."""
    is_number = expected.isbuiltin == 1 and expected.kind in "fiuc"
    fits = is_number and np.can_cast(array.dtype, expected, "same_kind")
    return f"convert it with .astype(np.{expected.name})" if fits else None
