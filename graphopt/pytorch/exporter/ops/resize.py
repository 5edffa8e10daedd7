"""Resizing, cropping and rearranging of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Ints, Site
from graphopt.pytorch.functional import resize as functions
from graphopt.pytorch.functional.sizes import as_ints

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")


@dataclass(frozen=True)
class _Request:
    """What a Resize asks for.

    Attributes:
        axes: The dimensions it names.
        scales: A factor for each of them, a node that is a list of them, or None.
        sizes: A size for each of them, a node that is a list of them, or None.
    """

    axes: tuple[int, ...]
    scales: tuple[float, ...] | fx.Node | None
    sizes: Ints | None


@translates("Resize", "Upsample")
def resize(site: Site) -> fx.Node:
    request = _request(site)
    x = site.tensor(0)
    spatial = _spatial(site, request)
    mode = None if spatial is None else _interpolation(site, spatial)
    if mode is not None and spatial is not None:
        if request.scales is None:
            return site.call(F.interpolate, x, size=spatial.sizes, mode=mode, **_corners(site, mode))
        return site.call(F.interpolate, x, scale_factor=spatial.scales, mode=mode, **_corners(site, mode))
    return site.call(
        functions.resize,
        x,
        request.axes if spatial is None else spatial.axes,
        scales=request.scales if spatial is None else spatial.scales,
        sizes=request.sizes if spatial is None else spatial.sizes,
        mode=_mode(site),
        coordinates=_coordinates(site),
        rounding=_rounding(site) if _mode(site) == "nearest" else None,
        cubic_coeff=site.attribute("cubic_coeff_a"),
        exclude_outside=True if site.attribute("exclude_outside", 0) else None,
        antialias=True if site.attribute("antialias", 0) else None,
        aspect_ratio=site.attribute("keep_aspect_ratio_policy"),
        roi=_floats(site, 1) if _coordinates(site) == "tf_crop_and_resize" else None,
        extrapolation_value=site.attribute("extrapolation_value"),
    )


@translates("CenterCropPad")
def center_crop_pad(site: Site) -> fx.Node:
    axes = site.attribute("axes")
    if axes is None:
        axes = range(_known_rank(site))
    return site.call(functions.center_crop_pad, site.tensor(0), site.ints(1), tuple(axes))


@translates("DepthToSpace")
def depth_to_space(site: Site) -> fx.Node:
    in_channel_order = site.attribute("mode", "DCR") == "CRD"
    function = F.pixel_shuffle if in_channel_order else functions.depth_to_space
    return site.call(function, site.tensor(0), site.attribute("blocksize"))


@translates("SpaceToDepth")
def space_to_depth(site: Site) -> fx.Node:
    return site.call(functions.space_to_depth, site.tensor(0), site.attribute("blocksize"))


def _request(site: Site) -> _Request:
    axes = site.attribute("axes")
    if axes is None:
        axes = range(_known_rank(site))
    # Upsample, and Resize before version 11, have no region of interest.
    index = 1 if _is_old(site) else 2
    if site.node.op_type == "Resize" and site.has(3) and site.shape(3) != (0,):
        return _Request(tuple(axes), None, site.ints(3))
    scales = site.attribute("scales") or _floats(site, index)
    if scales is None:
        site.refuse("neither scales nor sizes are given")
    return _Request(tuple(axes), scales if isinstance(scales, fx.Node) else tuple(scales), None)


def _spatial(site: Site, request: _Request) -> _Request | None:
    """The request without the dimensions that keep their size; None if that is not known of any."""
    if _coordinates(site) == "tf_crop_and_resize":
        return None
    rank = site.rank(0)
    kept = []
    for i, axis in enumerate(request.axes):
        if rank is not None and axis < 0:
            axis += rank
        if isinstance(request.scales, tuple):
            changes = request.scales[i] != 1
        elif isinstance(request.sizes, list):
            changes = not _is_own_size(site, axis, request.sizes[i])
        else:
            return None
        if changes or (axis > 1 and request.scales is None):
            kept.append(i)
    if not kept:
        return None
    return _Request(
        tuple(request.axes[i] for i in kept),
        tuple(request.scales[i] for i in kept) if isinstance(request.scales, tuple) else None,
        [request.sizes[i] for i in kept] if isinstance(request.sizes, list) else None,
    )


def _is_own_size(site: Site, axis: int, size: Any) -> bool:
    """Whether `size` is that of the input along `axis`."""
    value, result = site.node.inputs[0], site.node.outputs[0]
    if value is None or value.shape is None:
        return False
    if isinstance(size, int) and value.shape[axis] == size:
        return True
    if size is site.size(site.tensor(0), axis):
        return True
    own = value.shape[axis]
    named = isinstance(own, int) or own.value is not None
    return named and result.shape is not None and result.shape[axis] == own


def _interpolation(site: Site, request: _Request) -> str | None:
    """The mode in which `F.interpolate` computes the same; None if none does."""
    rank = site.rank(0)
    if rank not in _LINEAR or site.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        return None
    if [axis % rank for axis in request.axes] != list(range(2, rank)) or not _is_float(site):
        return None
    return _same_mode(site, request, rank)


def _same_mode(site: Site, request: _Request, rank: int) -> str | None:
    if site.attribute("antialias", 0) or site.attribute("exclude_outside", 0):
        return None
    coordinates, mode = _coordinates(site), _mode(site)
    if mode == "nearest":
        return _nearest_mode(site, request)
    if coordinates == "pytorch_half_pixel" and isinstance(request.sizes, list) and 1 in request.sizes:
        return None
    if coordinates not in (*_HALF_PIXEL, "align_corners"):
        return None
    if mode == "linear":
        return _LINEAR[rank]
    return "bicubic" if rank == 4 and site.attribute("cubic_coeff_a", -0.75) == -0.75 else None


def _nearest_mode(site: Site, request: _Request) -> str | None:
    coordinates, rounding = _coordinates(site), _rounding(site)
    if coordinates == "asymmetric" and rounding == "floor":
        return "nearest"
    if coordinates in _HALF_PIXEL and rounding == "round_prefer_ceil":
        return "nearest-exact"
    scales = request.scales
    if not isinstance(scales, tuple) or not rounding.startswith("round"):
        return None
    # Enlarged by a whole number, centers never fall between two elements.
    if coordinates in _HALF_PIXEL and all(scale == int(scale) for scale in scales):
        return "nearest"
    halves = coordinates == "asymmetric" and rounding == "round_prefer_floor"
    return "nearest" if halves and all(scale == 2 for scale in scales) else None


def _corners(site: Site, mode: str) -> dict[str, Any]:
    """`align_corners`, for the modes that have it."""
    if mode.startswith("nearest") or _coordinates(site) != "align_corners":
        return {}
    return {"align_corners": True}


def _is_old(site: Site) -> bool:
    return site.node.op_type == "Upsample" or site.opset() < 11


def _mode(site: Site) -> str:
    mode: str = site.attribute("mode", "nearest")
    return "linear" if mode == "bilinear" else mode


def _coordinates(site: Site) -> str:
    default = "asymmetric" if _is_old(site) else "half_pixel"
    found: str = site.attribute("coordinate_transformation_mode", default)
    return found


def _rounding(site: Site) -> str:
    default = "floor" if _is_old(site) else "round_prefer_floor"
    found: str = site.attribute("nearest_mode", default)
    return found


def _floats(site: Site, index: int) -> list[float] | fx.Node | None:
    """Floats of a constant input, as short as they mean the same float32; or a node that lists them."""
    if not site.has(index):
        return None
    known = site.constant(index)
    if known is None:
        return site.call(as_ints, site.tensor(index))
    return [float(str(np.float32(number))) for number in known.reshape(-1)]


def _is_float(site: Site) -> bool:
    dtype = site.dtype(0)
    return dtype is not None and dtype.is_floating_point()


def _known_rank(site: Site) -> int:
    rank = site.rank(0)
    if rank is None:
        site.refuse("the rank of its input is not known")
    return rank
