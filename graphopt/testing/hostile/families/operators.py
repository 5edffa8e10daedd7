"""Operators with arguments that kernels divide by, index with or allocate by."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.testing.hostile.build import body
from graphopt.testing.hostile.case import Case

_HUGE = (1 << 62) + 1
_IMAGE = "float[1,2,4,4] x"
_ANY = "float[N,M,H,W] y"
_FREE = "float[K] y"


def cases() -> Iterator[Case]:
    """Arguments from zero to the ends of an integer; onnxruntime refuses most when it loads or runs them."""
    for name, nodes in _IMAGES.items():
        for number in (0, -1, _HUGE):
            text = body(nodes.replace("?", str(number)), _IMAGE, _ANY, _WEIGHTS)
            yield Case(f"{name}-{number}", text, _REFUSED.get((name, number)))
    for name, nodes in _ROWS.items():
        for number in (0, -1, 3, -3, _HUGE, -_HUGE):
            refused = _REFUSED.get((name, number))
            text = body(nodes.replace("?", str(number)), "float[2,3] x", _FREE, _vectors(number))
            yield Case(f"{name}-{number}", text, refused)


_REFUSED = {
    **dict.fromkeys((("gather-nd-batch", number) for number in (-1, -3, -_HUGE)), "batch_dims"),
    **dict.fromkeys(
        ((f"{name}-group", number) for name in ("conv", "transposed") for number in (0, -1)), "groups"
    ),
    ("range", -_HUGE): "memory",
}
"""By node and argument: where onnxruntime divides by zero, reads memory not its own, or needs all of it."""
_WEIGHTS = "float[2,2,1,1] w = {1,2,3,4}"
_IMAGES = {
    "conv-group": "y = Conv <group = ?> (x, w)",
    "conv-strides": "y = Conv <strides = [?, ?]> (x, w)",
    "conv-dilations": "y = Conv <dilations = [?, ?]> (x, w)",
    "conv-pads": "y = Conv <pads = [?, ?, ?, ?]> (x, w)",
    "conv-kernel": "y = Conv <kernel_shape = [?, ?]> (x, w)",
    "conv-one-stride": "y = Conv <strides = [?]> (x, w)",
    "transposed-group": "y = ConvTranspose <group = ?> (x, w)",
    "transposed-output": "y = ConvTranspose <output_shape = [?, ?]> (x, w)",
    "transposed-strides": "y = ConvTranspose <strides = [?, ?]> (x, w)",
    "transposed-padding": "y = ConvTranspose <output_padding = [?, ?]> (x, w)",
    "pool-kernel": "y = MaxPool <kernel_shape = [?, ?]> (x)",
    "pool-strides": "y = MaxPool <kernel_shape = [2, 2], strides = [?, ?]> (x)",
    "pool-dilations": "y = MaxPool <kernel_shape = [2, 2], dilations = [?, ?]> (x)",
    "average-pads": "y = AveragePool <kernel_shape = [2, 2], pads = [?, ?, ?, ?]> (x)",
    "average-ceil": "y = AveragePool <kernel_shape = [2, 2], ceil_mode = ?> (x)",
    "lp-pool": "y = LpPool <kernel_shape = [2, 2], p = ?> (x)",
    "lrn-size": "y = LRN <size = ?> (x)",
    "depth-to-space": "y = DepthToSpace <blocksize = ?> (x)",
    "space-to-depth": "y = SpaceToDepth <blocksize = ?> (x)",
}
_ROWS = {
    "gather": "y = Gather(x, i)",
    "gather-axis": "y = Gather <axis = ?> (x, z)",
    "gather-elements": "j = Expand(i, one) k = Reshape(j, pair) y = GatherElements(x, k)",
    "gather-nd": "y = GatherND(x, i)",
    "gather-nd-batch": "y = GatherND <batch_dims = ?> (x, z)",
    "scatter-nd": "u = Gather(x, z) y = ScatterND(x, i, u)",
    "softmax-axis": "y = Softmax <axis = ?> (x)",
    "concat-axis": "y = Concat <axis = ?> (x, x)",
    "flatten-axis": "y = Flatten <axis = ?> (x)",
    "split-axis": "y, z2 = Split <axis = ?> (x)",
    "split-sizes": "y, z2 = Split(x, i)",
    "transpose-axes": "y = Transpose <perm = [?, 0]> (x)",
    "squeeze-axes": "y = Squeeze(x, i)",
    "unsqueeze-axes": "y = Unsqueeze(x, i)",
    "reshape-to": "y = Reshape(x, i)",
    "reshape-all": "y = Reshape <allowzero = 1> (x, i)",
    "slice-step": "y = Slice(x, z, o, z, i)",
    "slice-start": "y = Slice(x, i, o, z)",
    "slice-axis": "y = Slice(x, z, o, i)",
    "reduce-axes": "y = ReduceSum(x, i)",
    "arg-axis": "k = ArgMax <axis = ?> (x) y = Cast <to = 1> (k)",
    "top-k": "y, k = TopK(x, i)",
    "top-k-axis": "y, k = TopK <axis = ?> (x, o)",
    "one-hot-depth": "h = OneHot(z, s, v) y = Cast <to = 1> (h)",
    "one-hot-axis": "h = OneHot <axis = ?> (z, o, v) y = Cast <to = 1> (h)",
    "cumsum-axis": "y = CumSum(x, s)",
    "tile": "y = Tile(x, r)",
    "expand": "y = Expand(x, r)",
    "pad": "y = Pad(x, q)",
    "range": "k = Range(s, t, t) y = Cast <to = 1> (k)",
    "eye": "y = EyeLike <k = ?> (x)",
    "trilu": "y = Trilu(x, s)",
    "mod": "k = Cast <to = 7> (x) m = Mod(k, i) y = Cast <to = 1> (m)",
    "div": "k = Cast <to = 7> (x) m = Div(k, i) y = Cast <to = 1> (m)",
    "int32-div": "k = Cast <to = 6> (x) j = Cast <to = 6> (i) m = Div(k, j) y = Cast <to = 1> (m)",
    "reverse": "l = Concat <axis = 0> (i, i, i) y = ReverseSequence <time_axis = 0, batch_axis = 1> (x, l)",
    "dropout": "y = Dropout <seed = ?> (x)",
    "layer-norm-axis": "w = ReduceMax <keepdims = 0> (x) y = LayerNormalization <axis = ?> (x, w)",
    "hann": "y = HannWindow(s)",
    "dft": "c = Unsqueeze(x, two) d = DFT <axis = ?> (c) y = Identity(d)",
    "dft-length": "c = Unsqueeze(x, two) d = DFT <axis = 1> (c, s) y = Identity(d)",
    "mel": "y = MelWeightMatrix(s, s, s, f, f)",
    "compress-axis": "b = Cast <to = 9> (z) y = Compress <axis = ?> (x, b)",
    "lstm-hidden": "c = Unsqueeze(x, z) y = LSTM <hidden_size = ?> (c, c, c)",
    "multinomial": "k = Multinomial <sample_size = ?> (x) y = Cast <to = 1> (k)",
    "nms": "b = Unsqueeze(x, z) k = NonMaxSuppression(b, b, s) y = Cast <to = 1> (k)",
    "random": "y = RandomNormal <shape = [?, 2]> ()",
}


def _vectors(number: int) -> str:
    return (
        f"int64[1] i = {{{number}}}, int64 s = {{{number}}}, "
        "int64 t = {7}, int64[1] z = {0}, int64[1] o = {1}, "
        f"int64[2] r = {{{number}, 2}}, int64[4] q = {{{number}, 0, 0, {number}}}, float[2] v = {{0, 1}}, "
        "int64[1] one = {1}, int64[2] pair = {1, 1}, int64[1] two = {2}, float f = {1}"
    )
