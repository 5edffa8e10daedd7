"""Where a window of a convolution or a pool lies, and how what it made is spread back over what it read."""

from __future__ import annotations

import dataclasses

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import attribute_ints, attribute_string, static_shape


@dataclasses.dataclass(frozen=True)
class Windows:
    """Of any number of spatial axes.

    Attributes:
        kernel, strides, dilations: One number for each spatial axis.
        before, behind: Padding at both ends of each.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    behind: tuple[int, ...]

    @classmethod
    def of(cls, node: ir.Node, weight: ir.Value | None, x: ir.Value) -> Windows:
        """Those of a node.

        Args:
            node: A convolution or a pool.
            weight: Of the convolution, whose last axes are the kernel's.
            x: What it reads.

        Raises:
            NoGradient: Sizes are not known.
        """
        kernel = tuple(attribute_ints(node, "kernel_shape") or ())
        if not kernel:
            sizes = static_shape(weight)
            if sizes is None:
                raise NoGradient("the size of the kernel is not known")
            kernel = sizes[2:]
        ones = (1,) * len(kernel)
        strides = tuple(attribute_ints(node, "strides") or ones)
        dilations = tuple(attribute_ints(node, "dilations") or ones)
        mode = attribute_string(node, "auto_pad", "NOTSET")
        if mode == "NOTSET":
            pads = tuple(attribute_ints(node, "pads") or (0,) * (2 * len(kernel)))
            return cls(kernel, strides, dilations, pads[: len(kernel)], pads[len(kernel) :])
        if mode == "VALID":
            return cls(kernel, strides, dilations, (0,) * len(kernel), (0,) * len(kernel))
        space = [] if x.shape is None else [size for size in x.shape.dims[2:] if isinstance(size, int)]
        if len(space) < len(kernel):
            raise NoGradient(f"padding is {mode}, and sizes are not known")
        whole = [
            max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
            for size, extent, stride, dilation in zip(space, kernel, strides, dilations, strict=True)
        ]
        less, more = tuple(each // 2 for each in whole), tuple(each - each // 2 for each in whole)
        upper = mode == "SAME_UPPER"
        return cls(kernel, strides, dilations, less if upper else more, more if upper else less)

    def spread(
        self, tape: Tape, gradient: ir.Value, weight: ir.Value, sizes: ir.Value, groups: int
    ) -> ir.Value:
        """The gradient of what was read: each window's, times its weights, added up where it lay.

        Args:
            tape: Gets the nodes.
            gradient: Of the windows' sums [N, M, ...].
            weight: Of the windows [M, C / groups, kernel...].
            sizes: Of the spatial axes of what was read [N, C, ...].
            groups: Of the channels.
        """
        whole = tape.op(
            "ConvTranspose", gradient, weight,
            strides=self.strides, dilations=self.dilations, group=groups, kernel_shape=self.kernel,
        )  # fmt: skip
        return tape.cut(whole, sizes, self.before)
