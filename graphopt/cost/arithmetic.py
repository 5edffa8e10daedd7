"""Cost rules of work done element by element: activations, reductions, pooling, sampling, signals.

FLOPs are weighted as in the Livermore loops (McMahon 1986, UCRL-53745; Hennessy and Patterson's "normalized
FLOPs"): add, subtract, multiply, compare and round 1; divide and square root 4; exp, log, sin, erf, tanh and
pow 8. A composite operator costs the sum over its definition in the ONNX standard. Integer arithmetic is
counted like floating-point arithmetic.
"""

from __future__ import annotations

import math
from typing import TypeVar

from graphopt.cost.call import Call, Kind, Rule, Work

SIMPLE = 1
DIVIDE = 4
TRANSCENDENTAL = 8

SIGMOID = TRANSCENDENTAL + 2 * SIMPLE + DIVIDE
"""1 / (1 + exp(-x))"""
SOFTMAX = TRANSCENDENTAL + 3 * SIMPLE + DIVIDE
"""max, subtract, exp, sum, divide"""
LAYER_NORM = 7 * SIMPLE
"""mean, center, square, sum, scale by the reciprocal deviation, gain, bias; work per row is neglected"""
RMS_NORM = 4 * SIMPLE
"""square, sum, scale, gain"""
GELU = TRANSCENDENTAL + 4 * SIMPLE
"""0.5 * x * (1 + erf(x / sqrt(2)))"""
FFT = 5
"""A radix-2 complex FFT of n points takes 5 n log2(n) FLOPs (the convention of benchFFT)."""


T = TypeVar("T")


def _each(names: str, flops: T) -> dict[str, T]:
    return dict.fromkeys(names.split(), flops)


PER_OUTPUT: dict[str, int] = {
    **_each("Abs Neg Sign Ceil Floor Round Relu Add Sub Mul And Or Xor Not Equal Less Greater", SIMPLE),
    **_each("LessOrEqual GreaterOrEqual BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot", SIMPLE),
    **_each("IsNaN IsInf Where CumSum CumProd Bernoulli", SIMPLE),
    **_each("Clip LeakyRelu PRelu ThresholdedRelu DequantizeLinear", 2 * SIMPLE),
    **_each("RandomUniform RandomUniformLike Range", 2 * SIMPLE),
    **_each("Div Mod Reciprocal Sqrt", DIVIDE),
    "Shrink": 3 * SIMPLE,
    "HardSigmoid": 4 * SIMPLE,
    "HardSwish": 5 * SIMPLE,
    "Softsign": DIVIDE + 2 * SIMPLE,
    "QuantizeLinear": DIVIDE + 4 * SIMPLE,
    **_each("Exp Log Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Asinh Acosh Atanh Erf Pow", TRANSCENDENTAL),
    "Sigmoid": SIGMOID,
    "Swish": SIGMOID + 2 * SIMPLE,
    "SwiGLU": SIGMOID + 3 * SIMPLE,
    "Elu": TRANSCENDENTAL + 3 * SIMPLE,
    "Celu": TRANSCENDENTAL + DIVIDE + 3 * SIMPLE,
    "Selu": TRANSCENDENTAL + 4 * SIMPLE,
    "Softplus": 2 * TRANSCENDENTAL + SIMPLE,
    "Mish": 3 * TRANSCENDENTAL + 2 * SIMPLE,
    "Gelu": GELU,
    **_each("HannWindow HammingWindow", TRANSCENDENTAL + 3 * SIMPLE),
    "BlackmanWindow": 2 * TRANSCENDENTAL + 5 * SIMPLE,
    # Box-Muller: half of a log, a square root, a sine and a cosine; then scale and mean
    **_each("RandomNormal RandomNormalLike", (3 * TRANSCENDENTAL + DIVIDE) // 2 + 2 * SIMPLE),
}
"""FLOPs for each element of the first output."""

PER_OUTPUT_MICROSOFT: dict[str, int] = {
    "Gelu": GELU,
    "BiasGelu": GELU + SIMPLE,
    "BiasSplitGelu": GELU + 2 * SIMPLE,
    "FastGelu": TRANSCENDENTAL + 8 * SIMPLE,
    "QuickGelu": SIGMOID + 2 * SIMPLE,
    "BiasAdd": 2 * SIMPLE,
    "BiasDropout": 4 * SIMPLE,
    "QuantizeLinear": DIVIDE + 4 * SIMPLE,
    "DequantizeLinear": 2 * SIMPLE,
    # dequantize each operand, compute, requantize
    **_each("QLinearAdd QLinearMul", 10 * SIMPLE),
    "QLinearWhere": 7 * SIMPLE,
    "QLinearLeakyRelu": 9 * SIMPLE,
    "QLinearSigmoid": SIMPLE,  # a table of 256 entries
}
"""FLOPs for each element of the first output, com.microsoft."""

PER_INPUT: dict[str, tuple[int, int]] = {
    **_each("ReduceSum ReduceMax ReduceMin ReduceProd ArgMax ArgMin", (SIMPLE, 0)),
    "ReduceMean": (SIMPLE, DIVIDE),
    "ReduceL1": (2 * SIMPLE, 0),
    "ReduceL2": (2 * SIMPLE, DIVIDE),
    "ReduceSumSquare": (2 * SIMPLE, 0),
    "ReduceLogSum": (SIMPLE, TRANSCENDENTAL),
    "ReduceLogSumExp": (TRANSCENDENTAL + 3 * SIMPLE, TRANSCENDENTAL + SIMPLE),
    "GlobalAveragePool": (SIMPLE, DIVIDE),
    "GlobalMaxPool": (SIMPLE, 0),
    "GlobalLpPool": (2 * SIMPLE, DIVIDE),
    "Softmax": (SOFTMAX, 0),
    "LogSoftmax": (TRANSCENDENTAL + 4 * SIMPLE, 0),
    "Hardmax": (2 * SIMPLE, 0),
    # one scale and one shift, as every runtime computes it for inference
    "BatchNormalization": (2 * SIMPLE, 0),
    "InstanceNormalization": (LAYER_NORM, 0),
    "LayerNormalization": (LAYER_NORM, 0),
    "GroupNormalization": (LAYER_NORM, 0),
    "MeanVarianceNormalization": (LAYER_NORM, 0),
    "RMSNormalization": (RMS_NORM, 0),
    "SimplifiedLayerNormalization": (RMS_NORM, 0),
    "LpNormalization": (2 * SIMPLE + DIVIDE, 0),
    "DynamicQuantizeLinear": (DIVIDE + 6 * SIMPLE, 0),
    "NonZero": (SIMPLE, 0),
    "Col2Im": (SIMPLE, 0),
    "NegativeLogLikelihoodLoss": (2 * SIMPLE, 0),
    "SoftmaxCrossEntropyLoss": (TRANSCENDENTAL + 6 * SIMPLE, 0),
}
"""FLOPs for each element of the first input, and for each of the first output."""

PER_INPUT_MICROSOFT: dict[str, tuple[int, int]] = {
    "GroupNorm": (LAYER_NORM, 0),
    "SkipGroupNorm": (LAYER_NORM + SIMPLE, 0),
    "SkipLayerNormalization": (LAYER_NORM + SIMPLE, 0),
    "SkipSimplifiedLayerNormalization": (RMS_NORM + SIMPLE, 0),
    "BiasSoftmax": (SOFTMAX + SIMPLE, 0),
    "QLinearSoftmax": (SOFTMAX, 0),
    "QLinearGlobalAveragePool": (SIMPLE, DIVIDE + 4 * SIMPLE),
    "QLinearReduceMean": (3 * SIMPLE, DIVIDE + 4 * SIMPLE),
}
"""FLOPs for each element of the first input, and for each of the first output, com.microsoft."""


def per_output(flops: int) -> Rule:
    """`flops` for each element of the first output."""
    kind = _kind(flops)
    return lambda call: Work(kind, flops * call.out_size())


def per_input(inner: int, outer: int) -> Rule:
    """`inner` FLOPs for each element of the first input, `outer` for each of the first output."""
    kind = _kind(inner)
    return lambda call: Work(kind, inner * call.size(0) + (outer * call.out_size() if outer else 0))


def _kind(flops: int) -> Kind:
    return Kind.TRANSCENDENTAL if flops >= TRANSCENDENTAL else Kind.ELEMENTWISE


def variadic(call: Call) -> Work:
    """Sum, Min, Max and Mean: one operation less than there are inputs; Mean scales once more."""
    steps = len(call.node.inputs) - 1 + (call.node.op_type == "Mean")
    return Work(Kind.ELEMENTWISE, SIMPLE * steps * call.out_size())


def dropout(call: Call) -> Work:
    """An identity in inference mode; one draw and one multiplication per element in training mode."""
    training = call.has(2) and call.scalar(2) != 0
    if not training:
        return Work(Kind.FREE, bytes_read=0, bytes_written=0)
    return Work(Kind.ELEMENTWISE, 3 * SIMPLE * call.size(0))


def lrn(call: Call) -> Work:
    """x / (bias + alpha / size * sum of squares over `size` channels) ** beta."""
    per = (call.integer("size", 1) + 3) * SIMPLE + TRANSCENDENTAL + DIVIDE
    return Work(Kind.TRANSCENDENTAL, per * call.size(0))


def pool(tap: int, finish: int) -> Rule:
    """`tap` FLOPs for each kernel position and `finish` for each output element; padding counts."""

    def rule(call: Call) -> Work:
        taps = math.prod(call.integers("kernel_shape") or ())
        return Work(Kind.ELEMENTWISE, (tap * taps + finish) * call.out_size())

    return rule


def roi_align(call: Call) -> Work:
    """Bilinear samples, four taps each; an adaptive sampling ratio is taken as 2."""
    samples = call.out_size() * (call.integer("sampling_ratio", 0) or 2) ** 2
    return Work(Kind.ELEMENTWISE, 9 * SIMPLE * samples, bytes_read=4 * samples * 4)


def max_roi_pool(call: Call) -> Work:
    """One comparison per element of each region; a region is taken as large as the feature map."""
    return Work(Kind.ELEMENTWISE, SIMPLE * call.shape(1)[0] * math.prod(call.shape(0)[1:]))


def resize(call: Call) -> Work:
    """2**d (linear) or 4**d (cubic) taps over the d resized axes, two FLOPs each; nearest copies."""
    axes = sum(before != after for before, after in zip(call.shape(0), call.out(), strict=True))
    taps = {"linear": 2, "cubic": 4}.get(call.string("mode", "nearest"))
    if taps is None or axes == 0:
        return Work(Kind.MOVE)
    return Work(Kind.ELEMENTWISE, 2 * taps**axes * call.out_size())


def grid_sample(call: Call) -> Work:
    """Two FLOPs for each tap of the interpolation, four for each coordinate of the grid."""
    mode, axes = call.string("mode", "linear"), call.shape(1)[-1]
    taps = 0 if mode == "nearest" else 4**axes if "cubic" in mode else 2**axes
    return Work(Kind.ELEMENTWISE, 2 * taps * call.out_size() + 4 * SIMPLE * call.size(1))


def affine_grid(call: Call) -> Work:
    """Each grid point, in homogeneous coordinates, times a matrix (N, d, d + 1)."""
    macs = call.out_size() * call.shape(0)[-1]
    return Work(Kind.ELEMENTWISE, 2 * macs, macs)


def dft(call: Call) -> Work:
    """A fast Fourier transform along one axis; half the work for a real signal."""
    shape = call.shape(0)
    axis = call.integer("axis", 1) if "axis" in call.node.attributes else call.scalar(2)
    if axis is None:
        axis = 1 if (call.node.version or 20) < 20 else -2
    transforms = math.prod(shape[:-1]) // max(1, shape[axis])
    return Work(Kind.ELEMENTWISE, transforms * _fft(call.scalar(1) or shape[axis], real=shape[-1] == 1))


def stft(call: Call) -> Work:
    """A window and a transform per frame; output (batch, frames, bins, 2)."""
    batch, frames, bins, _ = call.out()
    points = call.shape(2)[0] if call.has(2) else call.scalar(3) or 2 * (bins - 1)
    signal = call.shape(0)
    real = len(signal) == 2 or signal[-1] == 1
    return Work(Kind.ELEMENTWISE, batch * frames * (SIMPLE * points + _fft(points, real=real)))


def _fft(points: int, *, real: bool) -> int:
    flops = FFT * points * max(1, (points - 1).bit_length())
    return flops // 2 if real else flops


def mel_weights(call: Call) -> Work:
    """Two slopes per element of the matrix, a logarithm and a power per band."""
    return Work(Kind.ELEMENTWISE, 4 * SIMPLE * call.out_size() + 2 * TRANSCENDENTAL * call.out()[-1])


def rotary(call: Call) -> Work:
    """Two multiplications and one addition for each element, unrotated ones included."""
    return Work(Kind.ELEMENTWISE, 3 * SIMPLE * call.out_size())


def det(call: Call) -> Work:
    """LU decomposition: 2/3 n**3 FLOPs a matrix."""
    *batch, n, _ = call.shape(0)
    return Work(Kind.ELEMENTWISE, math.prod(batch) * (2 * n**3) // 3)


def sort(call: Call) -> Work:
    """Unique sorts: n log2(n) comparisons. TopK keeps a heap: n log2(k)."""
    size = call.size(0)
    kept = max(call.out()[call.integer("axis", -1)], 2) if call.node.op_type == "TopK" else max(size, 2)
    return Work(Kind.ELEMENTWISE, SIMPLE * size * (kept - 1).bit_length())


def multinomial(call: Call) -> Work:
    """Exponentiates and sums the logits once, then searches them for each sample."""
    batch, classes = call.shape(0)
    search = SIMPLE * classes * call.integer("sample_size", 1)
    return Work(Kind.TRANSCENDENTAL, batch * (classes * (TRANSCENDENTAL + SIMPLE) + search))
