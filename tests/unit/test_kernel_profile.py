"""Kernel times: an iteration put together by hand, coefficients given back, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.digest_file import read_own_digest
from discosim.traces.engine_digest import EngineDigest
from discosim.traces.model_config import ModelConfig, model_of
from discosim.traces.profile_fit import fit_physics, iterations_of
from discosim.traces.readers.kernel_profile import read_profile

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "max_position_embeddings": 4096,
}


def tiny(**more) -> ModelConfig:
    return model_of(TINY | more, name="tiny", where="tiny")


def written(folder: Path, *, moe: bool = False) -> Path:
    """A layer reads its weights in 100 us, or computes 1 us a token; KV at 2 ns, at 3 ns beside a prompt."""
    place = folder / "tp1"
    place.mkdir(parents=True)
    (folder / "meta.yaml").write_text("model: somebody/tiny\nhardware: RTX4090\n")
    sizes = [2**i for i in range(12)]
    layers = {"qkv_proj": lambda t: max(98.0, t - 2.0), "layernorm": lambda _: 1.0, "embedding": lambda _: 7.0}
    dense = [f"{name},{t},{time(t)}" for name, time in layers.items() for t in sizes]
    (place / "dense.csv").write_text("\n".join(["layer,tokens,time_us", *dense]))
    seen = [f"{name},{n},{each * n + 20}" for name, each in (("lm_head", 0.0), ("sampler", 3.0)) for n in (1, 2, 300)]
    (place / "per_sequence.csv").write_text("\n".join(["layer,sequences,time_us", *seen]))
    rows = ["prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"]
    for chunk in (0, 16, 128, 512, 1024, 2048):
        for before in (0, 256, 1024) if chunk else (0,):
            for n in (0, 1, 4, 32, 128):
                for kv in (16, 64, 256, 1024) if n else (0,):
                    squares = (chunk + before) ** 2 - before**2
                    rate = 3e-3 if chunk else 2e-3
                    if chunk or n:
                        rows.append(f"{chunk},{before},{n},{kv},{1 + 1e-4 * squares + rate * n * kv}")
    (place / "attention.csv").write_text("\n".join(rows))
    if moe:
        held = [f"{t},{e},{10 * e}" for t in (1, 64, 2048) for e in (1, 2, 8)]
        (place / "moe.csv").write_text("\n".join(["tokens,activated_experts,time_us", *held]))
    return folder


def test_an_iteration_by_hand(tmp_path):
    profile = read_profile(written(tmp_path / "p"))
    rows = iterations_of(profile, tiny(), 10**9)
    mine = (rows.kind == 2) & (rows.tok == 132) & (rows.kv_tok == 4 * 256) & (rows.square_tok == 128**2)
    assert mine.sum() == 1
    # three layers of 130 (between 126 and 254 at 128 and 256 tokens) + 2 norms + attention; 7 once; 20 and 20 + 5 x 3
    attention = 1 + 1e-4 * 128**2 + 3e-3 * 1024
    assert rows.time_s[mine][0] == pytest.approx(1e-6 * (3 * (130 + 2 + attention) + 7 + 20 + 35))


def test_experts_touched_are_those_of_all_ranks(tmp_path):
    model = tiny(model_type="qwen3_moe", num_experts=8, num_experts_per_tok=2, moe_intermediate_size=16)
    profile = read_profile(written(tmp_path / "p", moe=True))
    alone, shared = (iterations_of(profile, model, 10**9, ep=ep) for ep in (1, 2))
    one = (alone.kind == 0) & (alone.n_decode == 1) & (alone.kv_tok == 16)
    # alone one token touches 2 of 8 experts; shared, two tokens touch 1 - 0.75^2 of the 4 of a rank; 10 us each
    difference = alone.time_s[one][0] - shared.time_s[one][0]
    assert difference == pytest.approx(3 * 1e-6 * 10 * (2 - 4 * (1 - 0.75**2)), rel=1e-6)


def test_what_does_not_fit_into_the_memory_is_left_out(tmp_path):
    profile = read_profile(written(tmp_path / "p"))
    rows = iterations_of(profile, tiny(), 2000)
    assert 0 < rows.tok.size < iterations_of(profile, tiny(), 10**9).tok.size
    assert rows.kv_tok.max() <= 2000


def test_the_fit_gives_back_what_the_kernels_say(tmp_path):
    rows = iterations_of(read_profile(written(tmp_path / "p")), tiny(), 10**9)
    fit, moments = fit_physics(rows, 1.0, has_experts=False)
    assert fit.kv_s_per_tok == pytest.approx(3 * 2e-9, rel=0.02)
    assert fit.kv_mixed_s_per_tok == pytest.approx(3 * 3e-9, rel=0.02)
    assert fit.square_s == pytest.approx(3 * 1e-10, rel=0.02)
    assert max(moments[f"{kind}_held_out_error_mean"] for kind in ("decode", "prefill", "mixed")) < 0.05


def test_the_verb_writes_a_digest_that_says_what_it_is(tmp_path, capsys):
    folder, config, out = written(tmp_path / "p"), tmp_path / "config.json", tmp_path / "mine.json"
    config.write_text(json.dumps(TINY))
    main(["traces", "fit-profile", str(folder), "--model-file", str(config), "--out", str(out), "--overhead-ms", "2"])
    assert "held out" in capsys.readouterr().out
    digest = read_own_digest(out, "engine")
    assert isinstance(digest, EngineDigest)
    assert digest.physics is not None
    assert digest.physics.overhead_s + digest.physics.weights_s > 2e-3
    assert digest.hardware == "RTX4090"
    assert any("2 ms an iteration" in quirk for quirk in digest.card.quirks)


def test_bad_profiles_are_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_profile(tmp_path)
    folder = written(tmp_path / "p")
    with pytest.raises(UserError, match="has no folder tp2; profiled: tp1"):
        read_profile(folder, 2)
    dense = folder / "tp1" / "dense.csv"
    dense.write_text(dense.read_text().replace("qkv_proj", "qkv_pro"))
    with pytest.raises(UserError, match="unknown layer 'qkv_pro'; did you mean 'qkv_proj'"):
        read_profile(folder)
    (folder / "meta.yaml").write_text("model: [")
    with pytest.raises(UserError, match="is no YAML"):
        read_profile(folder)
    (folder / "meta.yaml").write_text("model: x")
    with pytest.raises(UserError, match="names no hardware"):
        read_profile(folder)


@pytest.mark.skipif("DISCOSIM_TRACES" not in os.environ, reason="needs the raw traces")
def test_the_published_profile_is_fitted_within_a_tenth():
    from discosim.traces.recipes.build import build_digest

    digest = build_digest("llama-3.1-8b-rtxpro6000", Path(os.environ["DISCOSIM_TRACES"]))
    assert isinstance(digest, EngineDigest)
    errors = [value for key, value in digest.moments.items() if key.endswith("held_out_error_mean")]
    assert np.max(errors) < 0.1
