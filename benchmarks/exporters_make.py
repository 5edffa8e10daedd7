"""Exports one network of `exporters.py`: `python exporters_make.py NAME OUT`, or `NAME OUT NAME OUT ...`.

Runs as a process of its own, because it needs torch and transformers, or scikit-learn and skl2onnx. Never
contacts a model hub: weights are random, drawn from a fixed seed. Writes nothing whose outputs are not the
network's own.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exporters
import numpy as np
from exporters import GROUPS, HEAD_SIZE, HEADS, HIDDEN, LAYERS, VOCABULARY, Export
from zoo_inputs import Arrays

if TYPE_CHECKING:
    import torch

THREADS = 2
OPSET = 18
TOLERANCE = {"float32": 1e-4, "float16": 2e-2}
"""Largest difference between the network's outputs and the model's, relative to the largest output."""


def bert(attention: str) -> torch.nn.Module:
    """BERT; returns the last hidden state [batch, length, HIDDEN]."""
    import transformers

    config = transformers.BertConfig(**_sizes(), attn_implementation=attention)
    return _keywords(transformers.BertModel(config, add_pooling_layer=False), ["input_ids", "attention_mask"])


def gpt2(attention: str) -> torch.nn.Module:
    """GPT-2 without a cache; returns the last hidden state."""
    import transformers

    network = transformers.GPT2Model(_gpt2_config(attention))
    return _keywords(network, ["input_ids", "attention_mask"], use_cache=False)


def gpt2_past(attention: str) -> torch.nn.Module:
    """GPT-2 with keys and values of earlier tokens in, and of all tokens out."""
    import transformers

    return _cached(transformers.GPT2Model(_gpt2_config(attention)))


def llama(attention: str) -> torch.nn.Module:
    """Llama with grouped-query attention, keys and values of earlier tokens in, and of all tokens out."""
    import transformers

    config = transformers.LlamaConfig(
        **_sizes(), num_key_value_heads=GROUPS, max_position_embeddings=64, attn_implementation=attention
    )
    return _cached(transformers.LlamaModel(config))


def vit(attention: str) -> torch.nn.Module:
    """Vision transformer; returns the last hidden state [batch, patches + 1, HIDDEN]."""
    import transformers

    sizes = {name: size for name, size in _sizes().items() if name != "vocab_size"}
    config = transformers.ViTConfig(
        **sizes,
        image_size=exporters.IMAGE_SIZE,
        patch_size=exporters.PATCH_SIZE,
        attn_implementation=attention,
    )
    return _keywords(transformers.ViTModel(config, add_pooling_layer=False), ["pixel_values"])


def whisper_encoder(attention: str) -> torch.nn.Module:
    """The encoder of Whisper: two Convs and a transformer; returns the last hidden state."""
    import transformers
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = transformers.WhisperConfig(
        d_model=HIDDEN,
        encoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        encoder_ffn_dim=2 * HIDDEN,
        num_mel_bins=exporters.MEL_BINS,
        max_source_positions=exporters.AUDIO_FRAMES // 2,
        attn_implementation=attention,
    )
    return _keywords(WhisperEncoder(config), ["input_features"])


def t5_encoder(attention: str) -> torch.nn.Module:
    """The encoder of T5; returns the last hidden state."""
    import transformers

    return _keywords(transformers.T5EncoderModel(_t5_config(attention)), ["input_ids", "attention_mask"])


def t5_decoder(attention: str) -> torch.nn.Module:
    """The decoder of T5 over given encoder states; returns the last hidden state."""
    import transformers

    whole = transformers.T5Model(_t5_config(attention))
    names = ["input_ids", "encoder_hidden_states", "encoder_attention_mask"]
    return _keywords(whole.decoder, names, use_cache=False)


NETWORKS: dict[str, Callable[[str], Any]] = {
    "bert": bert,
    "gpt2": gpt2,
    "gpt2-past": gpt2_past,
    "llama": llama,
    "vit": vit,
    "whisper-encoder": whisper_encoder,
    "t5-encoder": t5_encoder,
    "t5-decoder": t5_decoder,
}


def _sizes() -> dict[str, int]:
    return {
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * HIDDEN,
        "vocab_size": VOCABULARY,
    }


def _gpt2_config(attention: str) -> Any:
    import transformers

    sizes = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "vocab_size": VOCABULARY}
    return transformers.GPT2Config(**sizes, n_positions=64, attn_implementation=attention)


def _t5_config(attention: str) -> Any:
    import transformers

    sizes = {"d_model": HIDDEN, "d_kv": HEAD_SIZE, "d_ff": 2 * HIDDEN, "vocab_size": VOCABULARY}
    heads = {"num_layers": LAYERS, "num_decoder_layers": LAYERS, "num_heads": HEADS}
    return transformers.T5Config(**sizes, **heads, attn_implementation=attention)


def _keywords(network: torch.nn.Module, names: list[str], **fixed: Any) -> torch.nn.Module:
    """A module of positional inputs over a network of keywords; its first output alone."""
    import torch

    class Keywords(torch.nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return self.network(**dict(zip(names, inputs, strict=True)), **fixed)[0]

    return Keywords()


def _cached(network: torch.nn.Module) -> torch.nn.Module:
    """A module of ids, mask and each layer's keys and values; outputs the state and the grown cache."""
    import torch
    from transformers import DynamicCache

    class Cached(torch.nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            ids, mask, *states = inputs
            cache = DynamicCache(list(zip(states[::2], states[1::2], strict=True)))
            out = self.network(
                input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, return_dict=True
            )
            grown = [state for layer in out.past_key_values.layers for state in (layer.keys, layer.values)]
            return (out.last_hidden_state, *grown)

    return Cached()


def _draw_weights(network: torch.nn.Module) -> None:
    """Random weights that let scores, masks and norms matter, as the tiny ones of a fresh network do not."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() > 1:
            parameter.data = 1.5 * noise / parameter[0].numel() ** 0.5
        else:
            parameter.data += 0.2 * noise


def export_torch(export: Export, target: Path) -> None:
    """Write a network as torch's exporter of that name does."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    network = NETWORKS[export.network.name]("eager" if export.eager else "sdpa").eval()
    _draw_weights(network)
    if export.half:
        network = network.half()
    sets = [{name: torch.from_numpy(array) for name, array in feed.items()} for feed in export.inputs()]
    names, example = list(sets[0]), tuple(sets[0].values())
    axes = export.network.axes or {}
    outputs = ["output", *(name.replace("past", "present") for name in names if name.startswith("past"))]
    if export.exporter == "dynamo":
        shapes = None
        if export.dynamic:
            shapes = (tuple(_dynamo_axes(axes.get(name, {})) for name in names),)
        torch.onnx.export(
            network,
            example,
            str(target),
            input_names=names,
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            optimize=export.optimize,
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
    else:
        torch.onnx.export(
            network,
            example,
            str(target),
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: dict(each) for name, each in axes.items()} if export.dynamic else None,
            dynamo=False,
            do_constant_folding=export.optimize,
            opset_version=OPSET - 1,
        )
    with torch.no_grad():
        for feed in sets:
            result = network(*feed.values())
            expected = [result] if isinstance(result, torch.Tensor) else list(result)
            arrays = {name: tensor.numpy() for name, tensor in feed.items()}
            _compare(target, arrays, [tensor.numpy() for tensor in expected])


def _dynamo_axes(axes: Any) -> dict[int, Any]:
    import torch

    return dict.fromkeys(axes, torch.export.Dim.DYNAMIC)


def export_sklearn(export: Export, target: Path) -> None:
    """Write a scikit-learn model, fitted to random rows, as skl2onnx does."""
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, exporters.FEATURES)).astype(np.float32)
    classes = (rows[:, 0] + rows[:, 1] ** 2 > 0.5).astype(np.int64) + (rows[:, 2] > 1)
    model = _estimator(export.network.name)
    is_classifier = hasattr(model, "predict_proba")
    model.fit(rows, classes if is_classifier else rows[:, 0] * rows[:, 1])
    options = {id(model): {"zipmap": False}} if is_classifier else None
    converted = skl2onnx.convert_sklearn(
        model,
        initial_types=[("X", FloatTensorType([None, exporters.FEATURES]))],
        options=options,
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )
    target.write_bytes(converted.SerializeToString())
    for feed in export.inputs():
        expected = [model.predict(feed["X"])]
        if is_classifier:
            expected.append(model.predict_proba(feed["X"]))
        _compare(target, feed, [np.asarray(each) for each in expected])


def _estimator(name: str) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.svm import SVC

    match name:
        case "mlp-classifier":
            return MLPClassifier((16, 8), activation="tanh", max_iter=50, random_state=0)
        case "scaled-mlp-regressor":
            return make_pipeline(
                StandardScaler(), MLPRegressor(hidden_layer_sizes=(16,), max_iter=50, random_state=0)
            )
        case "scaled-logistic":
            return make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=500))
        case "gaussian-process":
            return GaussianProcessRegressor(RBF(2.0) + WhiteKernel(0.1), optimizer=None)
        case "pca-svc":
            return make_pipeline(PCA(4), SVC(probability=True, random_state=0))
    raise ValueError(f"no estimator named {name!r}")


def _compare(target: Path, feed: Arrays, expected: list[np.ndarray[Any, Any]]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}
    found = session.run(None, {name: array for name, array in feed.items() if name in known})
    for one, other in zip(expected, found, strict=True):
        bound = TOLERANCE.get(str(other.dtype), 0.0) * max(1.0, float(np.abs(one).max(initial=0)))
        np.testing.assert_allclose(other.reshape(one.shape), one, rtol=0, atol=bound)


def main(arguments: list[str]) -> int:
    """Export each NAME to the OUT behind it; 1 if one failed."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    failed = 0
    for name, out in zip(arguments[::2], arguments[1::2], strict=True):
        export = exporters.EXPORTS[name]
        make = export_sklearn if export.exporter == "skl2onnx" else export_torch
        if len(arguments) == 2:
            make(export, Path(out))
            continue
        try:
            make(export, Path(out))
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            Path(out).unlink(missing_ok=True)
            failed = 1
        else:
            print(name, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
