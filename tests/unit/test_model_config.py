"""A model's config.json: sizes worked out by hand, published sizes, and what is refused."""

from __future__ import annotations

import json

import pytest

from discosim.core.errors import UserError
from discosim.traces.model_config import find_model, known_models, model_of, read_model

TINY = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
    "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
}
SPARSE = TINY | {
    "model_type": "qwen3_moe",
    "head_dim": 4,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 3,
}


def test_a_small_model_by_hand():
    model = model_of(TINY, name="tiny", where="tiny")
    # a layer: q and o 8 x 8, k and v 8 x 4, three matrices 8 x 16, two norms of 8
    layer = 2 * 64 + 2 * 32 + 3 * 128 + 2 * 8
    assert model.always_params == 2 * layer
    assert model.params == 2 * layer + 2 * 10 * 8 + 8
    assert model.kv_bytes_per_tok == 2 * 2 * 2 * 2 * 2  # keys and values, layers, heads, head size, bytes
    assert model.flops_per_tok == 2 * 2 * layer
    assert model.flops_per_square_tok == 2 * 2 * 4 * 2
    assert model.expert_share == 1.0
    tied = model_of(TINY | {"tie_word_embeddings": True}, name="tied", where="tied")
    assert model.params - tied.params == 80


def test_experts_by_hand():
    model = model_of(SPARSE, name="sparse", where="sparse")
    assert model.expert_params == 2 * 8 * 3 * 8 * 3
    # q and o 8 x 16, k and v 8 x 8, two norms of heads of 4, two norms of 8, router 8 x 8
    assert model.always_params == 2 * (2 * 128 + 2 * 64 + 8 + 16 + 64)
    assert model.expert_share == 0.25
    assert model.flops_per_tok == 2 * (model.always_params + model.expert_params / 4)
    some = model_of(SPARSE | {"decoder_sparse_step": 2}, name="sparse", where="sparse")
    assert (some.n_dense_layers, some.ffn) == (1, 16)
    assert some.expert_params == 8 * 3 * 8 * 3


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Llama-3.1-8B", 8_030_261_248),  # sizes as published with the weights
        ("Llama-3.1-70B", 70_553_706_496),
        ("Qwen3-32B", 32_762_123_264),
        ("Qwen3-30B-A3B", 30_532_122_624),
    ],
)
def test_known_models_have_their_published_size(name, params):
    assert find_model(name).params == params
    assert find_model(f"somebody/{name.lower()}").params == params


def test_each_known_model_says_where_it_is_from():
    assert all(sheet["source"].startswith("recollection: ") for sheet in known_models().values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": None}, "has no num_attention_heads; expected the config.json"),
        ({"model_type": "lama"}, "unknown architecture 'lama'; did you mean 'llama'"),
        ({"model_type": "mamba"}, "unknown architecture 'mamba'"),
        ({"num_attention_heads": 3}, "num_attention_heads is 3, no multiple of num_key_value_heads, 2"),
        ({"hidden_size": 10}, "no multiple of 4 heads; give head_dim"),
        ({"hidden_size": "8"}, "hidden_size must be a whole number, found '8'"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be from 1"),
        ({"kv_lora_rank": 512}, "its attention is latent"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantization_config is set \\(fp8\\)"),
        ({"torch_dtype": "int3"}, "unknown dtype 'int3'"),
        ({"model_type": "qwen3_moe"}, "names none; expected num_experts or num_local_experts"),
        ({"text_config": {"model_type": "llama"}}, "several kinds of input"),
    ],
)
def test_what_cannot_be_reckoned_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({key: value for key, value in {**TINY, **change}.items() if value is not None}))
    with pytest.raises(UserError, match=message) as refused:
        read_model(path)
    assert refused.value.where == str(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["[1, 2]", '{"a": 1}', "not json", ""])
def test_what_is_no_config_is_refused(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"expected the config\.json of a language model"):
        read_model(path)


def test_a_model_nobody_knows_has_a_close_match():
    with pytest.raises(UserError, match=r"unknown model 'Qwen3-33B'; did you mean 'Qwen3-32B'"):
        find_model("Qwen3-33B")


def test_doubts_are_said():
    assert "16-bit" in model_of(TINY | {"torch_dtype": "float32"}, name="x", where="x").warnings[0]
    assert "sliding window of 9" in model_of(TINY | {"sliding_window": 9}, name="x", where="x").warnings[0]
