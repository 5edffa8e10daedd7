"""What quantizing did, as data: the scheme, its accuracy, each layer in int8 or float, and the reason."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class QuantizedLayer:
    """A node that weighs, in the model that is emitted.

    Attributes:
        name: Of the node.
        op: Its operator.
        runs_in: "int8", "float", or another name of what it computes in on the target.
        reason: Why it runs in that, where that needs saying.
        weights: Scheme of its weights as text; "" for float ones.
        inputs: Scheme of its activations and the range they were given, as text; "" for float ones.
        sqnr: Signal to noise of its output beside the float model's, in dB; None if not measured.
        sensitivity: Noise over signal at the model's outputs, when it alone is quantized, if measured.
        weight_bytes: Bytes of its weights.
    """

    name: str
    op: str
    runs_in: str
    reason: str = ""
    weights: str = ""
    inputs: str = ""
    sqnr: float | None = None
    sensitivity: float | None = None
    weight_bytes: int = 0


@dataclasses.dataclass
class Quantization:
    """How a model was quantized, and at what price.

    Attributes:
        scheme: Name of the scheme.
        metric: Name of what accuracy is told in.
        value: The metric of the emitted model, beside the float one; None if nobody could tell.
        drop: How much of it was lost.
        sqnr: Signal to quantization noise by output, in dB.
        samples: Samples scored.
        layers: Those that weigh, in order.
        of_samples: Samples there are to score on, of which those scored are the first.
        held_out: No range was taken from these.
        calibrated_on: Ranges were taken from the samples scored, too: they are too few to hold some out.
    """

    scheme: str
    metric: str = ""
    value: float | None = None
    drop: float | None = None
    sqnr: dict[str, float] = dataclasses.field(default_factory=dict)
    samples: int = 0
    layers: list[QuantizedLayer] = dataclasses.field(default_factory=list)
    of_samples: int = 0
    held_out: bool = False
    calibrated_on: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)
