"""The schemes that graphopt's are held against: onnxruntime.quantization as its documentation has it called.

Its preprocessing goes first where it works. A failure is an error of the caller's process, to be reported.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zoo_inputs import Arrays

Samples = Iterable[Arrays]

PER_CHANNEL_OPSET = 13


class Reader:
    """Calibration data in the form that onnxruntime reads: `get_next()` until None."""

    def __init__(self, samples: Samples) -> None:
        self._samples: Iterator[Arrays] = iter(samples)

    def get_next(self) -> Arrays | None:
        """The next inputs."""
        return next(self._samples, None)


def static(source: Path, target: Path, samples: Samples) -> str:
    """`quantize_static` with its defaults: QDQ, int8 activations and weights, a scale a tensor."""
    from onnxruntime.quantization import quantize_static

    with prepared(source) as ready:
        quantize_static(str(ready), str(target), Reader(samples))
    return ""


def static_u8s8(source: Path, target: Path, samples: Samples) -> str:
    """`quantize_static` as x86 likes it: uint8 activations, int8 weights with a scale a channel.

    The opset is raised first where it knows no scale a channel, or the model would be invalid. Where the
    adjustment of weights to int32 biases fails, once more without that.
    """
    from onnxruntime.quantization import QuantType, quantize_static

    held = list(samples)
    options = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    with prepared(source) as ready:
        raise_opset(ready)
        try:
            quantize_static(str(ready), str(target), Reader(held), **options)
        except ValueError:
            extra = {"QDQDisableWeightAdjustForInt32Bias": True}
            quantize_static(str(ready), str(target), Reader(held), **options, extra_options=extra)
            return "fails with its defaults; made with QDQDisableWeightAdjustForInt32Bias"
    return ""


def dynamic(source: Path, target: Path, _: Samples) -> str:
    """`quantize_dynamic` with its defaults; needs no data."""
    from onnxruntime.quantization import quantize_dynamic

    with prepared(source) as ready:
        quantize_dynamic(str(ready), str(target))
    return ""


@contextlib.contextmanager
def prepared(source: Path) -> Iterator[Path]:
    """A scratch copy of the model after onnxruntime's `quant_pre_process`; as it is where that fails."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "prepared.onnx"
        for skip_symbolic_shape in (False, True):
            with contextlib.suppress(Exception):
                quant_pre_process(str(source), str(ready), skip_symbolic_shape=skip_symbolic_shape)
                break
        else:
            shutil.copyfile(source, ready)
        yield ready


def raise_opset(path: Path) -> None:
    """Write the model anew in the first opset whose DequantizeLinear has an axis, if it is older."""
    import onnx
    from onnx import version_converter

    model = onnx.load(path)
    if next(entry.version for entry in model.opset_import if not entry.domain) < PER_CHANNEL_OPSET:
        onnx.save(version_converter.convert_version(model, PER_CHANNEL_OPSET), path)


Scheme = Callable[[Path, Path, Samples], str]
"""Source, target and calibration data to what had to be done for it to work, or ""."""

NAIVE: dict[str, Scheme] = {"naive": static, "naive-u8s8": static_u8s8, "naive-dynamic": dynamic}
