"""Ways to quantize a model, by name: what each one runs, needs and is for. Each is nothing but pass texts.

`"int8"` and `Int8(observer="mse")` both name one; what decides between them stands in `quantize`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from graphopt.errors import UsageError
from graphopt.pipeline import Pass, Pipeline, default_catalog, make_pass


@dataclasses.dataclass(frozen=True)
class QuantizationScheme(abc.ABC):
    """A way to store and compute a model in fewer bits.

    Attributes:
        name: Its name on the command line.
        needs_data: It takes ranges of activations, so calibration data.
        on_codes: Activations are codes all the way, not floats between products.
        for_size: What it is for is a smaller model: it is emitted where it is no faster.
        as_asked: Somebody said which passes: the outcome is emitted however far outputs move, unless a bound
            is set.
    """

    name: ClassVar[str]
    needs_data: ClassVar[bool] = False
    on_codes: ClassVar[bool] = False
    for_size: ClassVar[bool] = False
    as_asked: ClassVar[bool] = False

    def preparation(self) -> str:
        """Passes that bring the float model into form; as text. At most they round weights."""
        return ""

    @abc.abstractmethod
    def conversion(self, keep: Sequence[str] = (), exact: Sequence[str] = ()) -> Pipeline:
        """Passes that quantize.

        Args:
            keep: Names of nodes to leave in float.
            exact: Those of them whose weights are to stay as they are as well.
        """


@dataclasses.dataclass(frozen=True)
class Int8(QuantizationScheme):
    """Weights and activations in int8, with ranges from calibration data.

    Weights of what computes in float are stored in int8, too, and decoded when the model is loaded.

    Attributes:
        observer: How a range is chosen from what was seen: minmax, moving-average, percentile, entropy, mse.
        smooth: Even out channels of activations first.
        round: Round weights so that errors make up for each other, not each to the nearest code.
    """

    name: ClassVar[str] = "int8"
    needs_data: ClassVar[bool] = True
    on_codes: ClassVar[bool] = True
    observer: str = "mse"
    smooth: bool = True
    round: bool = True

    def preparation(self) -> str:
        before, behind = ["smooth-quant"] * self.smooth, ["round-weights"] * self.round
        return ",".join([SHAPING, *before, _text("calibrate", observer=self.observer), *behind])

    def conversion(self, keep: Sequence[str] = (), exact: Sequence[str] = ()) -> Pipeline:
        rest = _text("quantize-weights", least=LARGE, least_read=AT_LOAD, keep=tuple(exact))
        return Pipeline.parse(f"{_text('quantize-static', keep=tuple(keep))},{rest},{CLEANUP}")


@dataclasses.dataclass(frozen=True)
class DynamicInt8(QuantizationScheme):
    """Weights in int8; activations too, in ranges found as the model runs."""

    name: ClassVar[str] = "dynamic-int8"

    def conversion(self, keep: Sequence[str] = (), exact: Sequence[str] = ()) -> Pipeline:
        rest = _text("quantize-weights", keep=tuple(keep))
        return Pipeline.parse(f"{_text('quantize-dynamic', keep=tuple(keep))},{rest},{CLEANUP}")


@dataclasses.dataclass(frozen=True)
class WeightInt8(QuantizationScheme):
    """Weights in int8, in blocks; activations in float.

    Attributes:
        block: Weights that share a scale; 0 for 32 of 4 bits, and a whole channel of 8.
        method: How scales are chosen: minmax, mse.
    """

    name: ClassVar[str] = "weight-int8"
    for_size: ClassVar[bool] = True
    bits: ClassVar[int] = 8
    block: int = 0
    method: str = "mse"

    def conversion(self, keep: Sequence[str] = (), exact: Sequence[str] = ()) -> Pipeline:
        options = {"bits": self.bits, "block": self.block, "method": self.method, "keep": tuple(keep)}
        weights = _text("quantize-weights", **options)
        return Pipeline.parse(f"{weights},raise-opset,{weights},{CLEANUP}")


@dataclasses.dataclass(frozen=True)
class WeightInt4(WeightInt8):
    """Weights in int4, in blocks; activations in float.

    Attributes:
        round: Round weights so that errors make up for each other, on calibration data, which that needs.
    """

    name: ClassVar[str] = "weight-int4"
    bits: ClassVar[int] = 4
    round: bool = False

    def preparation(self) -> str:
        return _text("round-weights", bits=self.bits, block=self.block) if self.round else ""


@dataclasses.dataclass(frozen=True)
class Float16(QuantizationScheme):
    """Weights and activations in float16, where these can hold them."""

    name: ClassVar[str] = "fp16"
    for_size: ClassVar[bool] = True
    dtype: ClassVar[str] = "float16"

    def conversion(self, keep: Sequence[str] = (), exact: Sequence[str] = ()) -> Pipeline:
        return _converting("to-half", dtype=self.dtype, keep=tuple(keep))


@dataclasses.dataclass(frozen=True)
class BFloat16(Float16):
    """Weights and activations in bfloat16."""

    name: ClassVar[str] = "bf16"
    dtype: ClassVar[str] = "bfloat16"


@dataclasses.dataclass(frozen=True)
class OwnPasses(QuantizationScheme):
    """Whatever lossy passes somebody asks for.

    Attributes:
        passes: They, and what stands behind them.
    """

    name: ClassVar[str] = "pipeline"
    for_size: ClassVar[bool] = True
    as_asked: ClassVar[bool] = True
    passes: Pipeline

    def conversion(self, keep: Sequence[str] = (), exact: Sequence[str] = ()) -> Pipeline:
        return self.passes


SCHEMES: dict[str, type[QuantizationScheme]] = {
    each.name: each for each in (Int8, DynamicInt8, WeightInt8, WeightInt4, Float16, BFloat16)
}
SHAPING = "reduce-mean-to-pool"
"""Float forms that run on codes where the usual ones do not."""
AUTO = "auto"
"""Whatever is fastest of those that keep the model's accuracy, with the data at hand."""

LARGE = 4096
"""Elements of a weight from which on it matters to the size; stems, which are sensitive, have fewer."""
AT_LOAD = 1 << 40
"""More elements than a weight has: all are decoded when the model is loaded, which costs no time after it."""
CLEANUP = "cse,dedup-initializers,dce"


def schemes_of(asked: str | QuantizationScheme, *, with_data: bool) -> list[QuantizationScheme]:
    """The schemes to try, best first.

    Args:
        asked: A name, "auto", or a scheme.
        with_data: Calibration data are at hand.

    Raises:
        UsageError: There is no such scheme.
    """
    if isinstance(asked, QuantizationScheme):
        return [asked]
    if asked == AUTO:
        return [Int8(), DynamicInt8()] if with_data else [DynamicInt8()]
    if asked not in SCHEMES:
        raise UsageError(
            f"there is no quantization scheme {asked!r}", hint=f"schemes are {', '.join([*SCHEMES, AUTO])}"
        )
    scheme = SCHEMES[asked]()
    return [dataclasses.replace(scheme, round=with_data) if isinstance(scheme, WeightInt4) else scheme]


def _converting(name: str, **options: object) -> Pipeline:
    return Pipeline.parse(f"{_text(name, **options)},{CLEANUP}")


def _text(name: str, **options: object) -> str:
    """A pass with those of the options that are not its defaults, as text."""
    made = make_pass(name, {key: value for key, value in options.items() if value}, default_catalog())
    assert isinstance(made, Pass)
    return str(Pipeline([made]))
