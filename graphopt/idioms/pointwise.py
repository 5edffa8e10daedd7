"""Functions of one value, elementwise: their references, and how a region is told to compute one of them.

A region is evaluated once on fixed probes: zero, the places around the kinks of common activations, its own
constants, moderate values, and magnitudes up to the largest of its type. Each reference may solve for its
parameters from a few of the results. Equal on every probe, within the tolerance of its type, the region is
that function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphopt.idioms.evaluate import erf, gelu, gelu_tanh, sigmoid, softplus

Vector = npt.NDArray[np.float64]
Parameters = Mapping[str, float]

TOLERANCES = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-6, "float64": 2e-8}
"""Largest relative difference by type, of the function's value and of the probe: what rounding its constants
to the type explains. Where the function is flat at 0, that is nothing: a region with a small slope or a least
value there is another function, which keeps a logarithm or a division behind it finite."""
EVALUATION_NOISE = 1e-15
"""What evaluating in float64 rounds, relative to the probe: terms of its size may cancel."""
LIKENESS = 0.6
"""Share of moderate probes that must agree for a region to be called nearly an idiom."""
LARGEST = {"float16": 6e4, "float32": 1e30, "float64": 1e30, "bfloat16": 1e30}

_FIXED = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 10.0, -10.0, 1e-3, -1e-3, 100.0, -100.0])
_MODERATE = np.concatenate(
    [
        [
            2.9,
            2.999,
            3.0,
            3.001,
            3.1,
            5.9,
            5.999,
            6.0,
            6.001,
            6.1,
            1.5,
            0.75,
            0.1,
            4.4,
            8.0,
            15.0,
            18.0,
            30.0,
        ],
        np.random.default_rng(1).uniform(0.01, 7.0, 12),
    ]
)
_SMALL_AND_LARGE = 10.0 ** np.array([-6.0, -4.0, 1.9, 2.5, 3.0, 4.0, 4.7, 5.5, 7.0, 10.0, 20.0, 30.0])


@dataclass(frozen=True)
class Pointwise:
    """An idiom: a function of one number.

    Attributes:
        name: The field's name for it.
        kinks: A region must hold at least one operator of these.
        reference: Called with float64 probes and the parameters.
        solve: Parameters, and "scale" where it knows that best, from the region's results `at` a few probes;
            None if it cannot be this function.
        scalable: A constant multiple of it is recognised too.
        floor: Differences are measured against at least this, times the scale: 0 keeps what is 0 exactly 0,
            as max(x, 1e-20) is no Relu; more where terms cancel, as in e^x - 1.
    """

    name: str
    kinks: frozenset[str]
    reference: Callable[[Vector, Parameters], Vector]
    solve: Callable[[At], Parameters | None] = lambda at: {}
    scalable: bool = True
    floor: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a region computes: `scale * idiom(x, parameters)`.

    Attributes:
        idiom: The function.
        parameters: Its parameters.
        scale: Factor behind it.
        error: Largest difference on the probes, relative as `TOLERANCES` are.
    """

    idiom: Pointwise
    parameters: Parameters
    scale: float
    error: float


@dataclass(frozen=True)
class NearMiss:
    """The idiom that a region nearly computes.

    Attributes:
        idiom: The function.
        agreeing: Share of probes where both agree.
        worst: The probe where they differ most.
        expected: The idiom's value there.
        found: The region's value there.
    """

    idiom: Pointwise
    agreeing: float
    worst: float
    expected: float
    found: float

    def __str__(self) -> str:
        return (
            f"nearly {self.idiom.name}, but at x = {self.worst:.6g} it gives {self.found:.6g} where "
            f"{self.idiom.name} gives {self.expected:.6g}"
        )


@dataclass(frozen=True)
class At:
    """The region's results at the fixed probes: `at(1.0)`."""

    results: Vector

    def __call__(self, probe: float) -> float:
        return float(self.results[_PLACES[probe]])


_PLACES = {float(probe): place for place, probe in enumerate(_FIXED)}


def probes(constants: Sequence[float] = (), dtype: str = "float32") -> Vector:
    """The places where a region is evaluated, those that `At` knows first.

    Args:
        constants: Scalars in the region: kinks often lie there.
        dtype: Probes that the type cannot hold are left out.
    """
    own = np.unique(np.abs([each for each in constants if math.isfinite(each)]))
    around = np.concatenate([own, own * 0.999, own * 1.001]) if own.size else own
    positive = np.concatenate([_MODERATE, _SMALL_AND_LARGE, around])
    positive = positive[positive <= LARGEST.get(dtype, 1e30)]
    return np.concatenate([_FIXED, positive, -positive])


def recognize(
    operators: frozenset[str],
    function: Callable[[Vector], Vector],
    constants: Sequence[float] = (),
    dtype: str = "float32",
    idioms: Sequence[Pointwise] | None = None,
) -> Found | NearMiss | None:
    """The idiom that a function of one number is.

    Args:
        operators: Operator names in the region.
        function: The region, on float64 probes.
        constants: Its scalars.
        dtype: Of the entry: "float16", "float32", ...; narrow types allow what rounding their constants
            changes.
        idioms: References to compare with; all by default.

    Returns:
        What it is, or what it nearly is, or None.
    """
    candidates = [each for each in (idioms or POINTWISE) if each.kinks & operators]
    if not candidates:
        return None
    x = probes(constants, dtype)
    results = function(x)
    if results.shape != x.shape:
        return None
    tolerance = TOLERANCES[dtype]
    near: NearMiss | None = None
    for idiom in candidates:
        outcome = _compare(idiom, x, results, tolerance)
        if isinstance(outcome, Found):
            return outcome
        if outcome is not None and (near is None or outcome.agreeing > near.agreeing):
            near = outcome
    return near


@np.errstate(all="ignore")
def _compare(idiom: Pointwise, x: Vector, results: Vector, tolerance: float) -> Found | NearMiss | None:
    try:
        parameters = idiom.solve(At(results))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if parameters is None:
        return None
    reference = np.asarray(idiom.reference(x, parameters), dtype=np.float64)
    scale = parameters.get("scale", _scale(reference, results)) if idiom.scalable else 1.0
    if scale is None:
        return None
    if abs(scale - 1.0) <= tolerance:
        scale = 1.0
    expected = scale * reference
    # A spelling may overflow where the function does not: ln(1 + e^x) at large x.
    comparable = np.isfinite(results) & np.isfinite(expected)
    if np.count_nonzero(comparable) < 0.6 * len(x):
        return None
    moved = [
        np.abs(np.asarray(idiom.reference(x * factor, parameters), dtype=np.float64) - reference)
        for factor in (1.0 - tolerance, 1.0 + tolerance)
    ]
    shift = np.maximum(*moved)
    shift[~np.isfinite(shift)] = 0.0
    size = np.maximum(np.abs(reference) + shift / tolerance, idiom.floor)
    size = abs(scale) * (size + EVALUATION_NOISE / tolerance * np.abs(x))
    difference = np.abs(results - expected)
    relative = np.where(comparable, difference / np.maximum(size, 1e-300), 0.0)
    if relative.max() <= tolerance:
        return Found(idiom, parameters, scale, float(relative.max()))
    moderate = comparable & (np.abs(x) <= 30.0) & (np.abs(x) > 1e-2)
    agreeing = float(np.mean(relative[moderate] <= 0.01)) if moderate.any() else 0.0
    if agreeing < LIKENESS or _is_plain(results[moderate], x[moderate]):
        return None
    worst = int(np.argmax(np.where(moderate, relative, -1.0)))
    if relative[worst] <= tolerance:
        worst = int(np.argmax(relative))
    return NearMiss(idiom, agreeing, float(x[worst]), float(expected[worst]), float(results[worst]))


def _scale(reference: Vector, results: Vector) -> float | None:
    """The factor between a function and its reference, 1 where it is nearly that."""
    for place in (_PLACES[1.0], _PLACES[-1.0], _PLACES[10.0]):
        if reference[place] and np.isfinite(reference[place]) and np.isfinite(results[place]):
            factor = float(results[place] / reference[place])
            if factor == 0.0:
                return None
            return 1.0 if abs(factor - 1.0) <= 0.05 else _short(factor)
    return None


def _is_plain(results: Vector, x: Vector) -> bool:
    """Whether results lie on one line through all probes: nothing that an idiom would be missed in."""
    low, high = int(np.argmin(x)), int(np.argmax(x))
    line = results[low] + (x - x[low]) * ((results[high] - results[low]) / (x[high] - x[low]))
    return bool(np.allclose(line, results, rtol=1e-6, atol=1e-9))


def _logit(value: float) -> float | None:
    return math.log(value / (1.0 - value)) if 0.0 < value < 1.0 else None


def _solve_clip(at: At) -> Parameters | None:
    low, high = at(-100.0), at(100.0)
    if not high - low > 1e-4 * max(abs(low), abs(high)) or (low == -100.0 and high == 100.0):
        return None
    return {"low": low if low != -100.0 else -math.inf, "high": high if high != 100.0 else math.inf}


def _solve_hard_sigmoid(at: At) -> Parameters | None:
    top, middle = at(100.0), at(0.0)
    slope = (at(1e-3) - at(-1e-3)) / 2e-3
    if not (top > 0.0 and 0.0 < middle < top and slope > 0.0):
        return None
    return {"alpha": _short(slope / top), "beta": _short(middle / top), "scale": top}


def _short(value: float) -> float:
    """The value without the noise that a difference quotient leaves behind."""
    return float(f"{value:.10g}")


def _solve_swish(at: At) -> Parameters | None:
    # f(1) / -f(-1) = sigmoid(alpha) / sigmoid(-alpha) = e^alpha, whatever the scale
    alpha = math.log(-at(1.0) / at(-1.0))
    return {"alpha": _short(alpha)} if alpha > 0.0 else None


def _solve_sigmoid(at: At) -> Parameters | None:
    top = at(0.0) * 2.0
    alpha = _logit(at(1.0) / top) if top else None
    return None if not alpha else {"alpha": _short(alpha)}


def _solve_softplus(at: At) -> Parameters | None:
    # f(0) = scale ln 2 / beta, and f(x) = scale x at large x
    scale = _short(at(100.0) / 100.0)
    return (
        {"beta": _short(scale * math.log(2.0) / at(0.0)), "scale": scale} if scale * at(0.0) > 0.0 else None
    )


def _solve_elu(at: At) -> Parameters | None:
    slope = at(10.0) / 10.0
    if slope == 0.0 or abs(at(0.0)) > 0.01 * abs(slope):
        return None
    alpha = -at(-100.0) / slope
    return {"alpha": _short(alpha)} if alpha > 0.0 and math.isfinite(alpha) else None


def _solve_celu(at: At) -> Parameters | None:
    parameters = _solve_elu(at)
    return None if parameters is None or parameters["alpha"] == 1.0 else parameters


def _solve_leaky_relu(at: At) -> Parameters | None:
    slope = at(1.0)
    if slope <= 0.0 or at(0.0) != 0.0:
        return None
    alpha = -at(-1.0) / slope
    return None if alpha in (-1.0, 0.0, 1.0) else {"alpha": _short(alpha)}


def _elu(x: Vector, alpha: float) -> Vector:
    return np.where(x < 0.0, alpha * np.expm1(np.minimum(x, 0.0)), x)


_BRANCHES = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where"})
_RAMPS = _BRANCHES | {"Abs", "Clip", "HardSigmoid", "LeakyRelu", "Max", "Min", "PRelu", "Relu"}
_SIZES = _BRANCHES | {"Abs", "Max", "Min", "Pow", "Relu", "Sign", "Softsign", "Sqrt"}
_POWERS = frozenset({"Exp", "Sigmoid", "Softplus", "Swish", "Tanh"})
_EXPONENTS = frozenset({"Celu", "Elu", "Exp", "Selu"})
_SMOOTH = 1e-7
"""Floor of functions that are smooth at 0: in float32 they are never nearer to 0 than this."""
_CANCELLING = 0.1
"""Floor of functions with a term e^x - 1: rounded constants do not cancel out."""

POINTWISE: tuple[Pointwise, ...] = (
    Pointwise("Relu", _RAMPS, lambda x, p: np.maximum(x, 0.0)),
    Pointwise("HardSwish", _RAMPS, lambda x, p: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    Pointwise("Clip", _RAMPS, lambda x, p: np.clip(x, p["low"], p["high"]), _solve_clip, scalable=False),
    Pointwise(
        "HardSigmoid",
        _RAMPS,
        lambda x, p: np.clip(p["alpha"] * x + p["beta"], 0.0, 1.0),
        _solve_hard_sigmoid,
    ),
    Pointwise("LeakyRelu", _RAMPS, lambda x, p: np.where(x < 0.0, p["alpha"] * x, x), _solve_leaky_relu),
    Pointwise("Abs", _SIZES, lambda x, p: np.abs(x)),
    Pointwise("Gelu", frozenset({"Erf"}), lambda x, p: gelu(x), floor=_SMOOTH),
    Pointwise("Gelu (tanh)", _POWERS, lambda x, p: gelu_tanh(x), floor=_SMOOTH),
    Pointwise("Sigmoid", _POWERS, lambda x, p: sigmoid(p["alpha"] * x), _solve_sigmoid, floor=_SMOOTH),
    Pointwise("Tanh", _POWERS, lambda x, p: np.tanh(x), floor=_SMOOTH),
    Pointwise("Erf", frozenset({"Erf"}), lambda x, p: erf(x), floor=_SMOOTH),
    Pointwise("Swish", _POWERS, lambda x, p: x * sigmoid(p["alpha"] * x), _solve_swish, floor=_SMOOTH),
    Pointwise("Mish", _POWERS, lambda x, p: x * np.tanh(softplus(x)), floor=_SMOOTH),
    Pointwise(
        "Softplus", _POWERS, lambda x, p: softplus(p["beta"] * x) / p["beta"], _solve_softplus, floor=_SMOOTH
    ),
    Pointwise("Softsign", _SIZES, lambda x, p: x / (1.0 + np.abs(x))),
    Pointwise(
        "Selu",
        _EXPONENTS,
        lambda x, p: 1.05070102214813232421875 * _elu(x, 1.67326319217681884765625),
        floor=_CANCELLING,
    ),
    Pointwise("Elu", _EXPONENTS, lambda x, p: _elu(x, p["alpha"]), _solve_elu, floor=_CANCELLING),
    Pointwise(
        "Celu",
        _EXPONENTS,
        lambda x, p: np.where(x < 0.0, p["alpha"] * np.expm1(np.minimum(x, 0.0) / p["alpha"]), x),
        _solve_celu,
        floor=_CANCELLING,
    ),
)
"""Every pointwise idiom; where two fit, the first stands."""

KINKS = frozenset[str]().union(*(idiom.kinks for idiom in POINTWISE))
"""Operators of which a region that is any of them holds one."""
