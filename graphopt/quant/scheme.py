"""What a tensor is quantized to: the integer type, the codes used of it, and what shares a scale.

A scheme holds no numbers of any tensor; those are an `Affine`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.errors import UsageError

DTYPES = {
    dtype.name.lower(): dtype
    for dtype in (
        ir.DataType.INT2,
        ir.DataType.UINT2,
        ir.DataType.INT4,
        ir.DataType.UINT4,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT16,
        ir.DataType.UINT16,
        ir.DataType.INT32,
    )
}
"""The types of codes, by name. int32 is for biases."""
_HINT = "write it as uint8, int8:symmetric,axis=0 or int4:symmetric,axis=0,block=32; bits=7 uses fewer codes"


@dataclass(frozen=True)
class Scheme:
    """A uniform quantization: integer codes times a scale, from a zero point on.

    Attributes:
        dtype: Type of the codes, one of `DTYPES`.
        symmetric: The zero point is the middle code and the range reaches as far below as above: int8 uses
            -127..127 around 0, uint8 1..255 around 128.
        axis: Each index of this axis has its own scale; counted from the end where negative. None: one scale
            for the tensor.
        block: Each run of so many elements along `axis` has its own scale, in every row; the last run may be
            shorter. None: the whole axis is not cut.
        bits: Use the codes of so many bits only (7: int8 -64..63, uint8 0..127). None: all of the type.

    Raises:
        UsageError: If the fields contradict each other.
    """

    dtype: ir.DataType
    symmetric: bool = False
    axis: int | None = None
    block: int | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES.values():
            raise UsageError(f"cannot quantize to {self.dtype}; types of codes are {', '.join(DTYPES)}")
        if self.block is not None and self.axis is None:
            raise UsageError(f"blocks of {self.block} elements need an axis", hint=_HINT)
        if self.block is not None and self.block < 1:
            raise UsageError(f"a block has at least one element, found {self.block}", hint=_HINT)
        if self.bits is not None and not 2 <= self.bits <= self.dtype.bitwidth:
            name, most = self.dtype.name.lower(), self.dtype.bitwidth
            raise UsageError(f"{name} has codes of 2 to {most} bits, found bits={self.bits}", hint=_HINT)

    @property
    def signed(self) -> bool:
        """Codes can be negative."""
        return self.dtype.is_signed()

    @property
    def width(self) -> int:
        """Bits of a code that are used."""
        return self.bits or self.dtype.bitwidth

    @property
    def low(self) -> int:
        """Smallest code."""
        return (-(1 << self.width - 1) if self.signed else 0) + self.symmetric

    @property
    def high(self) -> int:
        """Largest code."""
        return (1 << self.width - self.signed) - 1

    @property
    def middle(self) -> int:
        """The zero point of a symmetric scheme."""
        return 0 if self.signed else 1 << self.width - 1

    def normalized_axis(self, rank: int) -> int | None:
        """The axis counted from the front, for a tensor of `rank` dimensions.

        Raises:
            UsageError: If the tensor has no such axis.
        """
        if self.axis is None:
            return None
        if not -rank <= self.axis < rank:
            raise UsageError(f"scheme {self}: a tensor of {rank} dimensions has no axis {self.axis}")
        return self.axis % rank

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of scale and zero point for a tensor of `shape`, as the standard's QuantizeLinear has it:
        () per tensor, (D,) per axis, and ceil(D / block) instead of D in `shape` per block.
        """
        axis = self.normalized_axis(len(shape))
        if axis is None:
            return ()
        if self.block is None:
            return (shape[axis],)
        return (*shape[:axis], -(-shape[axis] // self.block), *shape[axis + 1 :])

    def __str__(self) -> str:
        options = ["symmetric"] if self.symmetric else []
        numbers = {"axis": self.axis, "block": self.block, "bits": self.bits}
        options += [f"{name}={number}" for name, number in numbers.items() if number is not None]
        return self.dtype.name.lower() + (":" + ",".join(options) if options else "")

    @classmethod
    def parse(cls, text: str) -> Scheme:
        """Read what `str` writes: a type, then options in any order.

        Raises:
            UsageError: If the text is no scheme.
        """
        name, _, rest = text.replace(" ", "").partition(":")
        if name not in DTYPES:
            raise UsageError(f"scheme {text!r}: {name!r} is none of {', '.join(DTYPES)}", hint=_HINT)
        symmetric, numbers = False, {}
        for option in rest.split(",") if rest else ():
            key, _, value = option.partition("=")
            if option == "symmetric":
                symmetric = True
            elif key in ("axis", "block", "bits") and key not in numbers and value.lstrip("-").isdecimal():
                numbers[key] = int(value)
            else:
                raise UsageError(f"scheme {text!r}: cannot read {option!r}", hint=_HINT)
        return cls(DTYPES[name], symmetric, **numbers)
