"""How large tensors reach onnxruntime without a copy: shared arrays, their own files, or injected arrays.

Measured with onnxruntime 1.31 on 3.2 GB of weights: arrays that replace external initializers
(`add_external_initializers`) are copied once while the session loads, arrays shared with `add_initializer`
and files never. Shared arrays are invisible to onnxruntime's own optimizations, which would look into the
declared file: so they serve unoptimized sessions, and that file is empty, so that reading it fails instead of
giving wrong numbers.
"""

from __future__ import annotations

import enum
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.execute.proto import LightProto

LARGE_WEIGHT_BYTES = 512 << 20
"""Above this, weights are not prepacked (a second copy of each) and the growing CPU arena is off."""

_PREFIX = "graphopt-"
_FOLDER_KEY = "session.model_external_initializers_file_folder_path"


class HandOver(enum.Enum):
    """A way to give weights to onnxruntime."""

    SHARED = "shared"
    FILES = "files"
    INJECTED = "injected"


def ways(light: LightProto, *, optimize: bool) -> tuple[HandOver, ...]:
    """Ways worth trying, the leanest first."""
    if not light.tensors:
        return (HandOver.INJECTED,)
    if not optimize:
        # Sharing takes an empty file, and a disk may be full.
        return (HandOver.SHARED, HandOver.INJECTED) if _can_make_files() else (HandOver.INJECTED,)
    if light.weight_bytes > LARGE_WEIGHT_BYTES:
        return HandOver.FILES, HandOver.INJECTED
    return (HandOver.INJECTED,)


@contextmanager
def handed_over(light: LightProto, options: Any, way: HandOver) -> Iterator[list[Any]]:
    """Prepare session options so that a session made inside the block finds the weights.

    Yields:
        The OrtValues, which must live as long as the session.

    Raises:
        OSError, ValueError: a weight cannot be read.
    """
    own_files = _own_files(light) if way is HandOver.FILES else {}
    arrays = {name: tensor for name, tensor in light.tensors.items() if name not in own_files}
    values = [_ort_value(tensor) for tensor in arrays.values()]
    declarations = {tensor.name: tensor for tensor in light.proto.graph.initializer}
    if way is HandOver.SHARED:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
            open(os.path.join(folder, "shared"), "wb").close()
            options.add_session_config_entry(_FOLDER_KEY, folder)
            for name, value in zip(arrays, values, strict=True):
                _declare(declarations[name], "shared", 0, light.tensors[name].nbytes)
                options.add_initializer(name, value)
            yield values
        return
    for name in arrays:
        _declare(declarations[name], "injected", 0, light.tensors[name].nbytes)
    for name, tensor in own_files.items():
        options.add_session_config_entry(_FOLDER_KEY, os.path.abspath(tensor.base_dir))
        _declare(declarations[name], os.fspath(tensor.location), tensor.offset or 0, tensor.nbytes)
    if values:
        options.add_external_initializers(list(arrays), values)
    yield values


def _can_make_files() -> bool:
    try:
        with tempfile.NamedTemporaryFile(prefix=_PREFIX):
            return True
    except OSError:
        return False


def _own_files(light: LightProto) -> dict[str, ir.ExternalTensor]:
    """Tensors that still lie in files of one folder, the first one's: onnxruntime knows only one."""
    external = {name: t for name, t in light.tensors.items() if isinstance(t, ir.ExternalTensor)}
    folders = [os.path.abspath(tensor.base_dir) for tensor in external.values()]
    return {
        name: tensor
        for (name, tensor), folder in zip(external.items(), folders, strict=True)
        if folder == folders[0]
    }


def _declare(proto: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    proto.data_location = onnx.TensorProto.EXTERNAL
    del proto.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        proto.external_data.add(key=key, value=str(value))


def _ort_value(tensor: ir.TensorProtocol) -> Any:
    import onnxruntime as ort

    array = tensor.numpy()
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = np.ascontiguousarray(array).copy()
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, tensor.dtype.value)
