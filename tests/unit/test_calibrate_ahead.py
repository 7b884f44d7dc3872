"""What a log says of its own stamps, and of whether its server decides an iteration ahead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from plain_server import requests, serve, write

from discosim.calibrate.ahead import compare
from discosim.calibrate.engine_loop import Load, play
from discosim.calibrate.setup import maker, scenario_of, server_keys, server_of
from discosim.calibrate.stamps import is_stamped_at_look
from discosim.cli import main
from discosim.traces.digest_file import read_own_digest
from discosim.traces.engine_digest import EngineDigest
from discosim.traces.server_logs import read_server_log
from discosim.world.engine.costs.constant import ConstantCost


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("rate_per_s", [4.0, 9.0, 40.0])
def test_a_log_tells_from_where_its_times_count(ahead: bool, rate_per_s: float, tmp_path: Path) -> None:
    asked = requests(60, rate_per_s, 3)
    serve(asked, ahead=ahead, most=24)
    for stamp in ("look", "came"):
        log = read_server_log(write(asked, tmp_path / f"{stamp}.jsonl", stamp=stamp))
        assert is_stamped_at_look(log) is (stamp == "look")


def test_times_from_the_look_leave_out_the_rest_of_the_iteration() -> None:
    """Prefills of 1.0 s and tokens of 0.25 s: who comes at 0.4 s is seen at 1.0 s."""
    came_s = np.array([0.0, 0.4, 2.6])
    load = Load(prompt_tok=np.array([10, 10, 10]), output_tok=np.array([9, 1, 1]), arrival_s=came_s)
    keys = {**server_keys("vllm-v1"), "async_scheduling": False}
    model = maker(server_of(keys))(ConstantCost(1.0, 0.25), 1e5)
    came, look = play(model, load), play(model, replace(load, from_look=True))
    assert came.arrival_s.tolist() == [0.0, 0.4, 2.6]
    assert look.arrival_s[:2].tolist() == [0.0, 1.0]
    late_s = look.arrival_s - came.arrival_s
    assert 0.0 < late_s[2] <= 1.25
    for name in ("queue_s", "ttft_s", "e2e_s"):
        np.testing.assert_allclose(getattr(look, name), getattr(came, name) - late_s, atol=1e-12)
    assert look.queue_s.tolist() == [0.0, 0.0, 0.0]


def fitted(losses: list[float]) -> Any:
    return SimpleNamespace(fitted=SimpleNamespace(losses=np.array(losses)), doubts=())


def test_the_better_way_is_taken_only_where_it_is_better_by_more_than_chance() -> None:
    luck = np.random.default_rng(1)
    noise = luck.exponential(1.0, 200).tolist()
    worse = [2.0 * one for one in noise]
    assert compare(fitted(noise), fitted(worse)).is_ahead is True
    assert compare(fitted(worse), fitted(noise)).is_ahead is False
    assert compare(fitted(noise), fitted(luck.permutation(noise).tolist())).is_ahead is None
    assert compare(fitted(noise), fitted([1.05 * one for one in noise])).is_ahead is None  # sure, and too small
    assert compare(fitted(noise), fitted(noise)).is_ahead is None
    one_request = [*noise[:-1], noise[-1] + 500.0]  # all that speaks against it
    assert compare(fitted(noise), fitted(one_request)).is_ahead is None


@pytest.mark.long
@pytest.mark.parametrize("ahead", [True, False])
def test_a_server_of_another_hand_is_foretold_and_its_way_to_decide_is_found(
    ahead: bool, tmp_path: Path, capsys
) -> None:
    asked = requests(80, 9.0, 11)
    serve(asked, ahead=ahead)
    log = write(asked, tmp_path / "log.jsonl", stamp="look" if ahead else "came")
    out = tmp_path / "mine.json"
    options = ["--max-batch", "64", "--token-budget", "2048", "--kv-tok", "500000", "--train", "first:40"]
    scenario = ["--scenario-out", str(tmp_path / "mine.yaml")]
    assert main(["engine", "calibrate", str(log), *options, "--out", str(out), *scenario]) == 0
    said = capsys.readouterr().out
    assert f"Iterations decided ahead: {'on' if ahead else 'off'}, as the log tells" in said
    assert f"async_scheduling: {str(ahead).lower()}" in (tmp_path / "mine.yaml").read_text()
    held = read_own_digest(out, "engine")
    assert isinstance(held, EngineDigest)
    # 40 requests, each within an iteration of a fifth of its TTFT: the median is off by 5 % at 2 standard errors
    assert abs(held.moments["held_out_ttft_p50_error"]) < 0.08
    assert abs(held.moments["held_out_e2e_p50_error"]) < 0.03


def test_a_log_that_is_stamped_at_the_look_says_so_and_is_compared_from_there(tmp_path: Path, capsys) -> None:
    asked = requests(40, 9.0, 3)
    serve(asked, ahead=True)
    scenario = tmp_path / "any.yaml"
    scenario.write_text(yaml.safe_dump(scenario_of(server_keys("vllm-v1"), None)))
    for stamp, n in (("look", 1), ("came", 0)):
        log = write(asked, tmp_path / f"{stamp}.jsonl", stamp=stamp)
        assert main(["engine", "validate", str(scenario), "--against", str(log)]) == 0
        assert capsys.readouterr().out.count("simulated times count from there") == n
