"""Classical models (ai.onnx.ml) on numbers; strings have no form in PyTorch."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import ml as functions
from graphopt.pytorch.roles import ROLE_KEY

_DOMAIN = "ai.onnx.ml"


@translates("ArrayFeatureExtractor", domain=_DOMAIN)
def array_feature_extractor(site: Site) -> fx.Node:
    return site.call(functions.select_features, site.tensor(0), site.tensor(1))


@translates("Binarizer", domain=_DOMAIN)
def binarizer(site: Site) -> fx.Node:
    return site.call(functions.binarize, site.tensor(0), site.attribute("threshold", 0.0))


@translates("Normalizer", domain=_DOMAIN)
def normalizer(site: Site) -> fx.Node:
    return site.call(functions.normalize, site.tensor(0), site.attribute("norm", "MAX"))


@translates("Scaler", domain=_DOMAIN)
def scaler(site: Site) -> fx.Node:
    x = site.method("to", site.tensor(0), torch.float32)
    shifted = site.call(operator.sub, x, _stored(site, "offset", np.float32))
    return site.call(operator.mul, shifted, _stored(site, "scale", np.float32))


@translates("Imputer", domain=_DOMAIN)
def imputer(site: Site) -> fx.Node:
    if site.attribute("imputed_value_floats") is not None:
        values = _stored(site, "imputed_value_floats", np.float32)
        return site.call(
            functions.impute, site.tensor(0), values, site.attribute("replaced_value_float", 0.0)
        )
    values = _stored(site, "imputed_value_int64s", np.int64)
    return site.call(functions.impute, site.tensor(0), values, site.attribute("replaced_value_int64", 0))


@translates("FeatureVectorizer", domain=_DOMAIN)
def feature_vectorizer(site: Site) -> fx.Node:
    parts = [site.method("to", site.tensor(i), torch.float32) for i in range(len(site.node.inputs))]
    return site.call(torch.cat, parts, dim=1)


@translates("OneHotEncoder", domain=_DOMAIN)
def one_hot_encoder(site: Site) -> fx.Node:
    if site.attribute("cats_int64s") is None:
        site.refuse("its categories are strings")
    if not site.attribute("zeros", 1):
        site.refuse("it fails at unknown categories")
    return site.call(functions.one_hot, site.tensor(0), _stored(site, "cats_int64s", np.int64))


@translates("LabelEncoder", domain=_DOMAIN)
def label_encoder(site: Site) -> fx.Node:
    keys, values = (_mapping(site, side) for side in ("keys", "values"))
    dtype = site.node.outputs[0].dtype or ir.DataType.FLOAT
    default = site.attribute("default_tensor")
    if default is not None:
        number: Any = default.numpy().reshape(-1)[0].item()
    elif dtype.is_floating_point():
        number = site.attribute("default_float", -0.0)
    else:
        number = site.attribute("default_int64", -1)
    return site.call(functions.encode_labels, site.tensor(0), keys, values, number)


@translates("LinearRegressor", domain=_DOMAIN)
def linear_regressor(site: Site) -> fx.Node:
    return _transformed(site, _linear(site, site.attribute("targets", 1)))


@translates("LinearClassifier", domain=_DOMAIN)
def linear_classifier(site: Site) -> list[fx.Node]:
    labels = site.attribute("classlabels_ints")
    if not labels:
        site.refuse("its labels are strings")
    rows = len(site.attribute("intercepts") or labels)
    if rows != len(labels):
        site.refuse("it has one score for two labels")
    scores = _linear(site, rows)
    chosen = site.call(functions.classify, scores, _stored(site, "classlabels_ints", np.int64))
    return [chosen, _transformed(site, scores)]


def _linear(site: Site, rows: int) -> fx.Node:
    coefficients = np.asarray(site.attribute("coefficients"), np.float32).reshape(rows, -1)
    weight = _constant(site, "coefficients", coefficients, "parameter")
    bias = None
    if site.attribute("intercepts"):
        bias = _stored(site, "intercepts", np.float32, "parameter")
    return site.call(F.linear, site.method("to", site.tensor(0), torch.float32), weight, bias)


def _transformed(site: Site, scores: fx.Node) -> fx.Node:
    name = site.attribute("post_transform", "NONE")
    if name == "PROBIT":
        site.refuse("its scores go through PROBIT")
    return scores if name == "NONE" else site.call(functions.transform, scores, name)


def _mapping(site: Site, side: str) -> fx.Node:
    """The keys or the values of a LabelEncoder."""
    tensor = site.attribute(f"{side}_tensor")
    if tensor is not None:
        if tensor.dtype == ir.DataType.STRING:
            site.refuse("it maps strings")
        return _constant(site, side, tensor.numpy())
    for kind, dtype in (("floats", np.float32), ("int64s", np.int64)):
        if site.attribute(f"{side}_{kind}") is not None:
            return _stored(site, f"{side}_{kind}", dtype)
    site.refuse("it maps strings")


def _stored(site: Site, attribute: str, dtype: Any, role: str = "buffer") -> fx.Node:
    """An attribute's numbers as a tensor of the module."""
    return _constant(site, attribute, np.asarray(site.attribute(attribute), dtype), role)


def _constant(site: Site, name: str, array: np.ndarray[Any, Any], role: str = "buffer") -> fx.Node:
    tensor = ir.tensor(array)
    value = ir.Node("", "Constant", [], ir.convenience.convert_attributes({"value": tensor})).outputs[0]
    value.name = f"{site.node.name or site.node.op_type}.{name}"
    value.metadata_props[ROLE_KEY] = role
    return site.emitter.tensor(value)
