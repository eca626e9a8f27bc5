"""The usual route on models of transformers and timm, read line by line."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from schuss import AdamW, Composite, Muon
from schuss.composite import Routes, named, usual_route
from schuss.matrices import Heads
from tests.composite.models import timm_model

transformers: Any = pytest.importorskip("transformers")

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "vocab_size": 500}
OUTPUTS_LAST = ("dims", (1,), (0,))


@cache
def routes(name: str) -> Routes:
    """Return the routes of a model with few layers, by the usual route."""
    with torch.device("meta"):
        model = MODELS[name]()
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Composite(model, hidden=Muon(), rest=AdamW()).routes()


def _of_transformers(kind: str, model: str, **options: Any) -> Any:
    config = getattr(transformers, f"{kind}Config")(**options)
    return getattr(transformers, f"{kind}{model}")(config)


MODELS = {
    "gpt2": lambda: _of_transformers(
        "GPT2", "LMHeadModel", n_layer=2, n_embd=64, n_head=4, n_positions=64
    ),
    "gpt2 without a head": lambda: _of_transformers(
        "GPT2", "Model", n_layer=1, n_embd=64, n_head=4
    ),
    "mixtral": lambda: _of_transformers(
        "Mixtral",
        "ForCausalLM",
        num_hidden_layers=2,
        num_key_value_heads=2,
        num_local_experts=4,
        **SMALL,
    ),
    "gpt-oss": lambda: _of_transformers(
        "GptOss",
        "ForCausalLM",
        num_hidden_layers=1,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=4,
        **SMALL,
    ),
    "vit": lambda: timm_model("vit_tiny_patch16_224", depth=2),
    "resnet": lambda: timm_model("resnet18"),
    "convnext": lambda: timm_model("convnext_atto", depths=(1, 1, 1, 1)),
}


def decided(name: str, pattern: str) -> list[tuple[str, str, Any]]:
    """Return part, reason and the option `matrices` of parameters, each once."""
    rows = [row for row in routes(name) if re.fullmatch(pattern, row.name)]
    found = [(row.part, row.reason, row.options.get("matrices")) for row in rows]
    return list(dict.fromkeys(found))


def doubts(name: str) -> dict[str, str]:
    return {row.name: row.doubt for row in routes(name) if row.doubt}


def test_gpt2():
    linear = ("hidden", "linear layer, Conv1D, outputs in the last dimension", OUTPUTS_LAST)
    assert decided("gpt2", r".*(attn|mlp)\.c_\w+\.weight") == [linear]
    table = "embedding, Embedding"
    assert decided("gpt2", ".*wte.*") == [("rest", f"{table}, also lm_head.weight", None)]
    assert decided("gpt2", ".*wpe.*") == [("rest", table, None)]
    assert decided("gpt2", ".*ln_.*") == [("rest", "normalization, LayerNorm", None)]
    assert decided("gpt2", r".*c_\w+\.bias") == [("rest", "bias", None)]
    assert len(routes("gpt2")) == 2 + 2 * 12 + 2
    remedy = "query, key and value are one matrix; matrices=Heads(3, dim=1) makes it three"
    assert doubts("gpt2") == {f"transformer.h.{n}.attn.c_attn.weight": remedy for n in range(2)}


@pytest.mark.parametrize("name", ["gpt2", "vit"])
def test_a_remedy_ends_the_doubt(name):
    with torch.device("meta"):
        model = MODELS[name]()
    dim = 1 if name == "gpt2" else 0
    lines = [
        (
            "hidden",
            named("*.c_attn.weight") | named("*.qkv.weight"),
            {"matrices": Heads(3, dim=dim)},
        )
    ]
    table = Composite(model, hidden=Muon(), rest=AdamW(), route=[*lines, *usual_route()]).routes()
    assert [row for row in table if row.doubt] == []
    found = [row.options for row in table if re.search(r"(c_attn|qkv)\.weight", row.name)]
    assert found == [{"matrices": ("heads", 3, dim)}] * 2


def test_a_model_without_an_output_layer_has_none():
    last = decided("gpt2 without a head", r"h\.0\.mlp\.c_proj\.weight")
    assert [part for part, *_ in last] == ["hidden"]
    assert list(doubts("gpt2 without a head")) == ["h.0.attn.c_attn.weight"]


def test_mixtral():
    projections = decided("mixtral", r".*self_attn\.\w_proj\.weight")
    assert projections == [("hidden", "linear layer, Linear", None)]
    experts = decided("mixtral", r".*experts\.\w+")
    assert experts == [("hidden", "4 experts, MixtralExperts", "batch")]
    assert decided("mixtral", ".*gate.weight") == [("rest", "router of 4 experts", None)]
    assert decided("mixtral", "lm_head.*") == [("rest", "output layer, says the model", None)]
    assert decided("mixtral", ".*embed.*") == [("rest", "embedding, Embedding", None)]
    assert decided("mixtral", ".*norm.*") == [("rest", "normalization, MixtralRMSNorm", None)]
    assert len(routes("mixtral")) == 3 + 2 * 9
    assert doubts("mixtral") == {}


def test_experts_with_outputs_in_the_last_dimension_and_biases():
    reason = "4 experts, GptOssExperts, outputs in the last dimension"
    dims = ("dims", (2,), (1,))
    assert decided("gpt-oss", r".*experts\.\w+_proj") == [("hidden", reason, dims)]
    assert decided("gpt-oss", r".*experts\.\w+_bias") == [("rest", "bias", None)]
    assert decided("gpt-oss", ".*router.weight") == [("rest", "router of 4 experts", None)]


def test_a_vision_transformer():
    linear = ("hidden", "linear layer, Linear", None)
    assert decided("vit", r"blocks.*(qkv|proj|fc\d)\.weight") == [linear]
    assert decided("vit", "patch_embed.*") == [("rest", "embedding, in PatchEmbed", None)]
    assert decided("vit", "(cls_token|pos_embed)") == [("rest", "everything else", None)]
    assert decided("vit", "head.*") == [("rest", "output layer, says the model", None)]
    remedy = "query, key and value are one matrix; matrices=Heads(3) makes it three"
    assert doubts("vit") == {f"blocks.{n}.attn.qkv.weight": remedy for n in range(2)}


def test_a_residual_network():
    convolution = ("hidden", "convolution, Conv2d", "flatten")
    assert decided("resnet", r".*(conv\d|downsample\.0)\.weight") == [convolution]
    assert decided("resnet", r".*(bn\d|downsample\.1).*") == [
        ("rest", "normalization, BatchNorm2d", None)
    ]
    assert decided("resnet", "fc.*") == [("rest", "output layer, says the model", None)]
    assert doubts("resnet") == {}


def test_convolutions_of_single_channels():
    depthwise = "everything else: convolution of single channels, Conv2d"
    assert decided("convnext", ".*conv_dw.weight") == [("rest", depthwise, None)]
    point = ("hidden", "convolution, Conv2d", "flatten")
    assert decided("convnext", r".*mlp\.fc\d\.weight") == [point]
    assert doubts("convnext") == {}


class Language(nn.Module):
    """A model of torch's own layers, with a matrix that nothing is known of."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(65, 32)
        self.positions = nn.Embedding(32, 32)  # as many as the layers have outputs
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.memory = nn.LSTM(32, 32)
        self.logits = nn.Linear(32, 65)
        self.unknown = nn.Parameter(torch.zeros(32, 32))


def test_layers_of_torch():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = Composite(Language(), hidden=Muon(), rest=AdamW()).routes()
    rows = {row.name: (row.part, row.reason, row.options.get("matrices")) for row in table}
    inputs = "linear layer, MultiheadAttention, queries, keys and values in one"
    assert rows["encoder.layers.0.self_attn.in_proj_weight"] == ("hidden", inputs, ("heads", 3, 0))
    assert rows["memory.weight_hh_l0"] == ("hidden", "linear layer, LSTM", None)
    output = "output layer, with 65 outputs as an embedding has rows"
    assert rows["logits.weight"] == rows["logits.bias"] == ("rest", output, None)
    assert rows["unknown"] == ("rest", "everything else", None)
    assert {row.name for row in table if row.doubt} == {"unknown"}


def test_a_model_in_a_wrapper_is_told_as_without():
    layers = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 5))
    model: Any = torch.compile(layers, backend="eager")
    table = Composite(model, hidden=Muon(), rest=AdamW()).routes()
    reasons = {row.name: row.reason for row in table}
    assert reasons["_orig_mod.2.weight"] == "output layer, the last of a Sequential"
    assert reasons["_orig_mod.1.weight"] == "linear layer, Linear"


def test_a_matrix_that_looks_like_an_output_layer_is_doubted():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(50, 8)
            self.first = nn.Linear(8, 50)
            self.second = nn.Linear(50, 8)
            self.third = nn.Linear(8, 50)

    table = Composite(Odd(), hidden=Muon(), rest=AdamW()).routes()
    found = {row.name: row.doubt for row in table if row.doubt}
    assert found["first.weight"].startswith("as many rows as 'tokens.weight' has")
    assert found["third.weight"] == "output layer, as it seems: the last that the model registers"
