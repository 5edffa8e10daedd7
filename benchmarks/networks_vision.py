"""Image networks in plain PyTorch, after their papers: ResNet, MobileNet, EfficientNet, ConvNeXt, ViT, U-Net.

Every one takes `image` [batch, 3, height, width] and gives logits; widths and depths are parameters, so that
tests can have them small. Never loads weights.
"""
# mypy: allow-subclassing-any

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Callable[[], nn.Module]

RESIDUAL_SCALE = 0.3
"""First scale of what a block adds to its input, as training leaves it; at 1 rounding grows with depth."""


def channels(count: float, divisor: int = 8) -> int:
    """Channels rounded to a multiple of `divisor`, never by more than a tenth down (MobileNetV2's rule)."""
    rounded = max(divisor, int(count + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * count else rounded


def conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: Activation | None = None
) -> nn.Sequential:
    """Conv without bias, BatchNorm, and the activation if there is one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Bottleneck(nn.Module):
    """ResNet's deep block: 1x1 down, 3x3, 1x1 up to four times the planes (He et al. 2015, as v1.5)."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.bn3.weight, RESIDUAL_SCALE)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = conv_norm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x += identity
        return self.relu(x)


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        nn.init.constant_(self.bn2.weight, RESIDUAL_SCALE)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != planes:
            self.downsample = conv_norm(inputs, planes, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += identity
        return self.relu(x)


class ResNet(nn.Module):
    """He et al. 2015; `depths` blocks at each of the resolutions."""

    def __init__(
        self, block: Any = BasicBlock, depths: Sequence[int] = (1, 1), width: int = 8, classes: int = 10
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages: list[nn.Module] = []
        inputs = width
        for stage, depth in enumerate(depths):
            planes = width * 2**stage
            blocks = []
            for index in range(depth):
                blocks.append(block(inputs, planes, 2 if stage and not index else 1))
                inputs = planes * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from all of them (Hu et al. 2017)."""

    def __init__(self, inputs: int, squeezed: int, act: Activation, gate: Activation) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(inputs, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, inputs, 1)
        self.activation = act()
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.activation(self.fc1(self.avgpool(x)))))


@dataclass(frozen=True)
class Stage:
    """One row of a mobile network's table; `excite` is the ratio of the squeezed channels, 0 for none.

    `expand` multiplies the input channels; `act` is the activation.
    """

    expand: float
    outputs: int
    repeats: int = 1
    stride: int = 1
    kernel: int = 3
    excite: float = 0.0
    act: Activation = nn.ReLU6


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, squeeze and excite, project (Sandler et al. 2018 and what followed)."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, stage: Stage, gate: Activation, narrow: int | None
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        hidden = channels(inputs * stage.expand)
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(conv_norm(inputs, hidden, 1, act=stage.act))
        layers.append(conv_norm(hidden, hidden, stage.kernel, stride, groups=hidden, act=stage.act))
        if stage.excite:
            # EfficientNet squeezes a share of the block's inputs, MobileNetV3 one of the expanded channels.
            squeezed = (
                channels(hidden * stage.excite) if narrow is None else max(1, int(narrow * stage.excite))
            )
            layers.append(SqueezeExcitation(hidden, squeezed, nn.ReLU if narrow is None else stage.act, gate))
        project, norm = conv_norm(hidden, outputs, 1)
        if self.residual:
            nn.init.constant_(norm.weight, RESIDUAL_SCALE)
        layers.append(nn.Sequential(project, norm))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.residual else self.block(x)


class MobileNet(nn.Module):
    """A stem, a table of inverted residuals, a head: MobileNetV2, V3 and EfficientNet by their tables.

    Attributes:
        narrow_squeeze: The squeezed channels are a share of a block's inputs, not of its expanded channels.
        hidden_head: Width of a hidden layer before the logits, 0 for none.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        stem: int,
        head: int,
        act: Activation,
        *,
        gate: Activation = nn.Sigmoid,
        narrow_squeeze: bool = False,
        hidden_head: int = 0,
        classes: int = 10,
    ) -> None:
        super().__init__()
        inputs = stem
        blocks: list[nn.Module] = [conv_norm(3, stem, 3, 2, act=act)]
        for stage in stages:
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                narrow = inputs if narrow_squeeze else None
                blocks.append(InvertedResidual(inputs, stage.outputs, stride, stage, gate, narrow))
                inputs = stage.outputs
        self.features = nn.Sequential(*blocks, conv_norm(inputs, head, 1, act=act))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last: list[nn.Module] = [nn.Linear(head, hidden_head), act()] if hidden_head else []
        self.classifier = nn.Sequential(*last, nn.Dropout(0.2), nn.Linear(hidden_head or head, classes))

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(image)), 1))


def mobilenet_v2(stages: Sequence[Stage], stem: int, head: int, classes: int) -> MobileNet:
    """Sandler et al. 2018: ReLU6 everywhere, linear bottlenecks."""
    return MobileNet(stages, stem, head, nn.ReLU6, classes=classes)


def mobilenet_v3(stages: Sequence[Stage], stem: int, head: int, hidden: int, classes: int) -> MobileNet:
    """Howard et al. 2019: HardSwish, gates of HardSigmoid, a hidden layer in the head."""
    return MobileNet(
        stages, stem, head, nn.Hardswish, gate=nn.Hardsigmoid, hidden_head=hidden, classes=classes
    )


def efficientnet(stages: Sequence[Stage], stem: int, head: int, classes: int) -> MobileNet:
    """Tan and Le 2019: SiLU, squeeze and excitation in every block."""
    return MobileNet(stages, stem, head, nn.SiLU, narrow_squeeze=True, classes=classes)


V2_SMALL = (Stage(1, 8), Stage(6, 16, 1, 2))
V2_TABLE = (
    Stage(1, 16),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320),
)

V3_SMALL = (Stage(1, 8, act=nn.ReLU), Stage(3, 16, 2, 2, 5, 0.25, nn.Hardswish))
V3_TABLE = (
    Stage(1, 16, act=nn.ReLU),
    Stage(4, 24, 1, 2, act=nn.ReLU),
    Stage(3, 24, act=nn.ReLU),
    Stage(3, 40, 3, 2, 5, 0.25, nn.ReLU),
    Stage(6, 80, 1, 2, act=nn.Hardswish),
    Stage(2.5, 80, act=nn.Hardswish),
    Stage(2.3, 80, 2, act=nn.Hardswish),
    Stage(6, 112, 2, 1, 3, 0.25, nn.Hardswish),
    Stage(6, 160, 3, 2, 5, 0.25, nn.Hardswish),
)

EFFICIENT_SMALL = (Stage(1, 8, 1, 1, 3, 0.25, nn.SiLU), Stage(6, 16, 1, 2, 5, 0.25, nn.SiLU))
EFFICIENT_TABLE = (
    Stage(1, 16, 1, 1, 3, 0.25, nn.SiLU),
    Stage(6, 24, 2, 2, 3, 0.25, nn.SiLU),
    Stage(6, 40, 2, 2, 5, 0.25, nn.SiLU),
    Stage(6, 80, 3, 2, 3, 0.25, nn.SiLU),
    Stage(6, 112, 3, 1, 5, 0.25, nn.SiLU),
    Stage(6, 192, 4, 2, 5, 0.25, nn.SiLU),
    Stage(6, 320, 1, 1, 3, 0.25, nn.SiLU),
)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [batch, channels, height, width]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, then channels last: LayerNorm, two Linear around a GELU, a scale for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.project = nn.Linear(4 * width, width)
        self.layer_scale = nn.Parameter(0.1 + torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.layer_scale * self.project(self.act(self.expand(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Liu et al. 2022."""

    def __init__(
        self, depths: Sequence[int] = (1, 1), widths: Sequence[int] = (8, 16), classes: int = 10
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], eps=1e-6)]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if stage:
                before = widths[stage - 1]
                layers += [ChannelNorm(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)]
            layers.append(nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth))))
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.norm(self.features(image).mean((-2, -1))))


class EncoderBlock(nn.Module):
    """A transformer's block, normalized first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        x = x + y
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2020: patches, a class token, learned positions."""

    def __init__(
        self,
        size: int = 32,
        patch: int = 8,
        width: int = 32,
        depth: int = 2,
        heads: int = 4,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.5 * torch.randn(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class UNet(nn.Module):
    """Ronneberger et al. 2015; up by ConvTranspose at the lower levels and by resizing at the topmost.

    Gives logits of `image`'s height and width, whatever these are.
    """

    def __init__(self, width: int = 8, levels: int = 2, classes: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            self._double(3 if level == 0 else widths[level - 1], wide) for level, wide in enumerate(widths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(widths[level + 1], widths[level], 2, 2) for level in range(1, levels)
        )
        self.narrow = nn.Conv2d(widths[1], widths[0], 1)
        self.join = nn.ModuleList(self._double(2 * wide, wide) for wide in widths[:-1])
        self.head = nn.Conv2d(width, classes, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            conv_norm(inputs, outputs, 3, act=nn.ReLU), conv_norm(outputs, outputs, 3, act=nn.LeakyReLU)
        )

    def forward(self, image: Tensor) -> Tensor:
        x = image
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.join))):
            skip = skips[level]
            x = self.up[level - 1](x) if level else self.narrow(x)
            x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = self.join[level](torch.cat([x, skip], dim=1))
        return self.head(x)
