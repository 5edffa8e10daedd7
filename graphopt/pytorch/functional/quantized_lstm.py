"""onnxruntime's LSTM with integer weights: inputs and states are quantized on the way, by their own range."""

from __future__ import annotations

import torch
from torch import Tensor

from graphopt.pytorch.functional.integers import dynamic_quantize, matmul_integer_to_float


def dynamic_quantize_lstm(
    x: Tensor,
    weight: Tensor,
    recurrence: Tensor,
    bias: Tensor | None,
    hidden: Tensor | None,
    cell: Tensor | None,
    weight_scale: Tensor,
    weight_zero_point: Tensor,
    recurrence_scale: Tensor,
    recurrence_zero_point: Tensor,
    direction: str = "forward",
) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM layer, gates in the order iofc.

    Args:
        x: (length, batch, inputs).
        weight: (directions, inputs, 4 * width) integers.
        recurrence: (directions, width, 4 * width) integers.
        bias: (directions, 8 * width), or None.
        hidden: (directions, batch, width), or None for zeros.
        cell: As `hidden`.
        weight_scale: (directions) or (directions, 4 * width).
        weight_zero_point: Shaped as its scale.
        recurrence_scale: As `weight_scale`.
        recurrence_zero_point: Shaped as its scale.
        direction: "forward", "reverse" or "bidirectional".

    Returns:
        (length, directions, batch, width), and the last hidden state and cell, (directions, batch, width).
    """
    width = recurrence.shape[1]
    outputs, states, cells = [], [], []
    source, source_scale, source_zero_point = dynamic_quantize(x)
    for index in range(weight.shape[0]):
        gates = matmul_integer_to_float(
            source,
            weight[index],
            source_scale,
            weight_scale[index],
            source_zero_point,
            weight_zero_point[index],
        )
        if bias is not None:
            gates = gates + bias[index, : 4 * width] + bias[index, 4 * width :]
        h = x.new_zeros(x.shape[1], width) if hidden is None else hidden[index]
        c = torch.zeros_like(h) if cell is None else cell[index]
        steps = []
        backwards = direction == "reverse" or index == 1
        for step in reversed(range(x.shape[0])) if backwards else range(x.shape[0]):
            state, scale, zero_point = dynamic_quantize(h)
            recurrent = matmul_integer_to_float(
                state,
                recurrence[index],
                scale,
                recurrence_scale[index],
                zero_point,
                recurrence_zero_point[index],
            )
            i, o, f, g = (gates[step] + recurrent).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            steps.append(h)
        outputs.append(torch.stack(steps[::-1] if backwards else steps))
        states.append(h)
        cells.append(c)
    return torch.stack(outputs, 1), torch.stack(states), torch.stack(cells)
