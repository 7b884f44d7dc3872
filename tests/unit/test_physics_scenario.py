"""`server.iterations: {kind: physics}`: what it resolves to, and what is refused."""

from __future__ import annotations

import json

import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.scenario import EngineServer
from discosim.runs.build_engine import engine_model
from discosim.runs.identity import run_id
from discosim.traces.gpu_sheet import find_gpu, known_gpus
from discosim.traces.model_config import find_model
from discosim.traces.roofline import GIB, kv_tok, roofline
from discosim.world.engine.costs.physics import PhysicsCost

COEFFICIENTS = "coefficients: {weights_s: 0.01, compute_s_per_tok: 1e-4, kv_s_per_tok: 1e-7, kv_mixed_s_per_tok: 3e-7}"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


def scenario(iterations: str, *more: str):
    return load_scenario("engine", overrides=[f"server.iterations={{kind: physics, {iterations}}}", *more])


def cost(iterations: str, *more: str) -> PhysicsCost:
    server = scenario(iterations, *more).server
    assert isinstance(server, EngineServer)
    held = engine_model(server).replica.cost
    assert isinstance(held, PhysicsCost)
    return held


def test_a_model_on_a_gpu_by_hand():
    fit = roofline(find_model("Llama-3.1-8B"), find_gpu("rtx pro 6000"))
    layers = 8_030_261_248 - 2 * 128256 * 4096 - 4096  # without tables and the last norm
    assert fit.weights_s == pytest.approx(2 * (layers + 128256 * 4096) / (0.8 * 1792e9))
    assert fit.compute_s_per_tok + fit.comm_s_per_tok == pytest.approx(2 * layers / (0.75 * 504e12))
    assert fit.kv_s_per_tok == pytest.approx(131072 / (0.8 * 1792e9))
    assert fit.square_s == pytest.approx(2 * 32 * 32 * 128 / (0.4 * 504e12))
    two = roofline(find_model("Llama-3.1-8B"), find_gpu("RTXPRO6000"), tp=2)
    # a ring over two sends each activation once, twice a layer
    assert two.comm_s_per_tok == pytest.approx(fit.comm_s_per_tok / 2 + 64 * 4096 * 2 / (0.9 * 64e9))
    assert two.weights_s == pytest.approx(fit.weights_s / 2)


def test_ranks_share_their_experts():
    model, gpu = find_model("Qwen3-30B-A3B"), find_gpu("RTXPRO6000")
    one, two = roofline(model, gpu), roofline(model, gpu, ep=2)
    assert two.experts_s == pytest.approx(one.experts_s / 2)
    assert two.expert_share == pytest.approx(1 - (15 / 16) ** 2)
    assert kv_tok(model, gpu, ep=2) > kv_tok(model, gpu)


def test_memory_by_hand():
    room = (0.9 * 80 - 1.5) * GIB - 2 * 8_030_261_248
    assert kv_tok(find_model("Llama-3.1-8B"), find_gpu("A100")) == int(room / 131072)


def test_a_scenario_takes_cost_memory_and_context_from_it(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    by_name, by_file = (scenario(f"{way}, gpu: A100").server for way in ("model: Llama-3.1-8B", f"model_file: {path}"))
    assert isinstance(by_name, EngineServer)
    assert isinstance(by_file, EngineServer)
    named, read = engine_model(by_name), engine_model(by_file)
    assert (
        named.replica.kv_blocks == read.replica.kv_blocks == kv_tok(find_model("Llama-3.1-8B"), find_gpu("A100")) // 16
    )
    assert named.max_context_tok == 131072
    assert named.replica.cost.decode_line(7) == read.replica.cost.decode_line(7)


def test_coefficients_and_factors():
    plain = cost(COEFFICIENTS, "server.kv_tok=9000")
    assert plain.mixed_s(10, 100, 2, 1000) == pytest.approx(0.01 + 1000 * 3e-7)
    twice = cost(f"{COEFFICIENTS}, scale: {{kv: 2, weights: 3}}", "server.kv_tok=9000")
    assert twice.mixed_s(10, 100, 2, 1000) == pytest.approx(0.03 + 2000 * 3e-7)


def test_what_decides_a_result_is_in_its_identity(tmp_path):
    names = {run_id(scenario(f"model: Llama-3.1-8B, gpu: {gpu}")) for gpu in ("A100", "H100")}
    names |= {run_id(scenario(f"model: Llama-3.1-8B, gpu: A100, scale: {{kv: {kv}}}")) for kv in (1.0, 1.1)}
    path = tmp_path / "config.json"
    for layers in (32, 31):
        path.write_text(json.dumps(CONFIG | {"num_hidden_layers": layers}))
        names.add(run_id(scenario(f"model_file: {path}, gpu: A100")))
    assert len(names) == 5  # a factor of 1 is none


def test_a_run_says_how_far_it_may_be_off():
    run = simulate(
        scenario("model: Llama-3.1-8B, gpu: L40S", "replications=1", "server.pilot_requests=5", "workload.n_requests=5")
    )
    (note,) = [note for note in run.notes if note.startswith("server iterations")]
    assert "by arithmetic alone" in note
    assert "may be off by 35%" in note


@pytest.mark.parametrize(
    ("iterations", "message"),
    [
        ("gpu: A100", r"needs exactly one of model, model_file and coefficients \(got none\)"),
        ("model: Llama-3.1-8B", "gpu: is missing; model needs the GPU"),
        (f"model: Llama-3.1-8B, gpu: A100, {COEFFICIENTS}", "got model and coefficients"),
        (f"gpu: A100, {COEFFICIENTS}", "gpu: has no meaning beside coefficients"),
        ("model: Llama-3.1-8B, gpu: RTX4080", "unknown GPU 'RTX4080'; did you mean 'RTX4090'"),
        ("model: Llama-3-8B, gpu: A100", "unknown model 'Llama-3-8B'; did you mean 'Llama-3.1-8B'"),
        ("model_file: nowhere.json, gpu: A100", "no such file"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(iterations, message):
    with pytest.raises(UserError, match=message):
        scenario(iterations)


@pytest.mark.parametrize(
    ("iterations", "message"),
    [
        ("model: Llama-3.1-70B, gpu: RTX4090", r"1 x RTX4090 cannot hold Llama-3.1-70B: weights of 131\.4 GiB"),
        ("model: Llama-3.1-70B, gpu: A100, tp: 3", "64 heads, which 3 GPUs cannot share evenly"),
        ("model: Llama-3.1-8B, gpu: A100, ep: 2", "has no experts that 2 ranks could share"),
        (COEFFICIENTS, "these iterations name no size of the KV cache; give kv_tok"),
    ],
)
def test_what_does_not_fit_is_one_line(iterations, message):
    server = scenario(iterations).server
    assert isinstance(server, EngineServer)
    with pytest.raises(UserError, match=message):
        engine_model(server)


def test_the_sheet_is_whole():
    for gpu in known_gpus().values():
        assert min(gpu.memory_gib, gpu.gbyte_per_s, gpu.tflops, gpu.link_gbyte_per_s) > 0
        assert gpu.source
        assert gpu.status in {"recollection", "published-figure", "assumption"}
