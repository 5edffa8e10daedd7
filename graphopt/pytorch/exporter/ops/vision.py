"""Sampling of images at places that are computed: grids and regions of interest."""

from __future__ import annotations

import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import vision as functions

# Names before version 20 among them.
_GRID_MODES = {
    "linear": "bilinear",
    "bilinear": "bilinear",
    "nearest": "nearest",
    "cubic": "bicubic",
    "bicubic": "bicubic",
}


@translates("GridSample")
def grid_sample(site: Site) -> fx.Node:
    mode = _GRID_MODES[site.attribute("mode", "linear")]
    if mode == "bicubic" and site.rank(0) == 5:
        site.refuse("PyTorch has no cubic interpolation of volumes")
    return site.call(
        F.grid_sample,
        site.tensor(0),
        site.tensor(1),
        mode=mode,
        padding_mode=site.attribute("padding_mode", "zeros"),
        align_corners=bool(site.attribute("align_corners", 0)),
    )


@translates("AffineGrid")
def affine_grid(site: Site) -> fx.Node:
    corners = bool(site.attribute("align_corners", 0))
    return site.call(F.affine_grid, site.tensor(0), site.ints(1), align_corners=corners)


@translates("RoiAlign")
def roi_align(site: Site) -> fx.Node:
    coordinates = site.attribute("coordinate_transformation_mode", "half_pixel")
    return site.call(
        functions.roi_align,
        site.tensor(0),
        site.tensor(1),
        site.tensor(2),
        (site.attribute("output_height", 1), site.attribute("output_width", 1)),
        spatial_scale=site.attribute("spatial_scale", 1.0),
        sampling_ratio=site.attribute("sampling_ratio", 0),
        maximum=True if site.attribute("mode", "avg") == "max" else None,
        half_pixel=None if coordinates == "half_pixel" else False,
    )


@translates("MaxRoiPool")
def max_roi_pool(site: Site) -> fx.Node:
    return site.call(
        functions.max_roi_pool,
        site.tensor(0),
        site.tensor(1),
        tuple(site.attribute("pooled_shape")),
        spatial_scale=site.attribute("spatial_scale", 1.0),
    )
