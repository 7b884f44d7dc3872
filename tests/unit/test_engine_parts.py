"""Parts of the engine: cost models and their digests, memory, prefixes, the plan of a leap."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from discosim.core.errors import UserError
from discosim.runs.build_engine import cost_of
from discosim.traces.catalogue import list_digests, load_digest
from discosim.traces.engine_digest import EngineDigest
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import read_csv
from discosim.world.engine.costs.base import fastest_s
from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.costs.distserve import DistServeCost
from discosim.world.engine.costs.table import TableCost
from discosim.world.engine.memory import KvMemory
from discosim.world.engine.plan import Plan
from discosim.world.engine.prefix import PrefixCache

# --- cost models ----------------------------------------------------------------------------------------------


def test_distserve_lines_by_hand():
    # OPT-13B on one A100, coefficients in ms: prefill 18.1, 0.10191, 7.12e-6; decode 19.93, 6.27e-4, 0.0385
    cost = cost_of(load_digest("opt-13b-a100-tp1", "engine"))
    assert cost.prefill_s(512 + 100, 512**2 + 100**2) == pytest.approx(
        1e-3 * (18.10 + 0.10191 * 612 + 7.12e-6 * (512**2 + 100**2))
    )
    fixed_s, slope_s = cost.decode_line(32)
    assert fixed_s + 32 * 500 * slope_s == pytest.approx(1e-3 * (19.93 + 6.27e-4 * 16_000 + 0.0385 * 32))
    fixed_s, slope_s = cost.decode_line(96)  # the regime above 95
    assert fixed_s + 1000 * slope_s == pytest.approx(1e-3 * (7.17 + 5.80e-4 * 1000 + 0.1583 * 96))
    # chunks of one prompt add up to the whole prompt, but for the fixed part
    parts = sum(cost.prefill_s(64, (k + 64) ** 2 - k**2) for k in range(0, 512, 64))
    assert parts - 7 * 0.0181 == pytest.approx(cost.prefill_s(512, 512**2))
    assert cost.mixed_s(64, 64**2, 8, 800) == pytest.approx(
        cost.prefill_s(64, 64**2) + 1e-3 * (6.27e-4 * 800 + 0.0385 * 8)
    )


def test_a_table_is_read_between_its_points_and_beyond_them():
    cost = TableCost((128.0, 1024.0), (0.05, 0.15), (1.0, 8.0), (0.03, 0.05), 1e-6)
    assert cost.prefill_s(10, 100) == 0.05
    assert cost.prefill_s(576, 0) == pytest.approx(0.10)
    assert cost.prefill_s(1920, 0) == pytest.approx(0.25)
    assert cost.decode_line(1) == (0.03, 1e-6)
    assert cost.decode_line(15)[0] == pytest.approx(0.07)
    assert cost.mixed_s(568, 0, 8, 800) == pytest.approx(1.1 * 0.10)
    assert cost.mixed_s(1, 1, 8, 10**6) == pytest.approx(0.05 + 1.0)  # never less than the decode alone


def test_a_chunk_pays_for_the_bend_of_the_curve_above_it():
    # 1,000 tokens take 0.1 s, 2,000 take 0.4 s: the second thousand of a prompt costs 0.3 s
    cost = TableCost((1000.0, 2000.0), (0.1, 0.4), (1.0,), (0.03,), 1e-6)
    assert cost.prefill_s(1000, 0) == pytest.approx(0.1)
    assert cost.prefill_s(1000, 0, [(1000, 2000)]) == pytest.approx(0.3)
    # beside the first thousand of another prompt: 0.4 s for 2,000 tokens, and 0.2 s that the context adds
    assert cost.prefill_s(2000, 0, [(1000, 2000)]) == pytest.approx(0.6)
    # two at once: 2 * 0.15 s of the curve, which is more than the 0.1 s of 1,000 tokens without a context
    assert cost.prefill_s(1000, 0, [(1500, 2000), (1500, 2000)]) == pytest.approx(0.3)
    # beside decodes: 1.1 times as long
    assert cost.mixed_s(999, 0, 1, 10, [(1001, 2000)]) == pytest.approx(1.1 * 0.2997)
    # a piece that is too short for the context to show: its iteration takes the 0.1 s that every one takes
    assert cost.prefill_s(10, 0, [(1990, 2000)]) == pytest.approx(0.1)
    # where the curve is straight, a context costs nothing
    straight = TableCost((1000.0, 2000.0), (0.2, 0.4), (1.0,), (0.03,), 1e-6)
    assert straight.prefill_s(1000, 0, [(1000, 2000)]) == pytest.approx(0.2)


def all_in_chunks_s(cost, ends):
    """Return the time of one prompt in chunks that end at the given tokens, an iteration each."""
    total_s, before = 0.0, 0
    for after in ends:
        later = [(before, after)] if before else []
        total_s += cost.prefill_s(after - before, after**2 - before**2, later)
        before = after
    return total_s


SHIPPED = {entry.name: cost_of(load_digest(entry.name, "engine")) for entry in list_digests("engine")}


@examples(300)
@given(st.sampled_from(sorted(SHIPPED)), st.integers(1, 40_000), st.lists(st.integers(1, 40_000), max_size=40))
def test_chunks_are_never_cheaper_than_the_whole(name, prompt_tok, cuts):
    cost = SHIPPED[name]
    ends = sorted({cut for cut in cuts if cut < prompt_tok} | {prompt_tok})
    whole_s = cost.prefill_s(prompt_tok, float(prompt_tok) ** 2)
    assert all_in_chunks_s(cost, ends) >= whole_s * (1 - 1e-12)


@pytest.mark.parametrize("name", SHIPPED)
def test_smaller_chunks_of_a_long_prompt_cost_more_but_not_absurdly(name):
    cost = SHIPPED[name]
    taken_s = [all_in_chunks_s(cost, range(size, 8193, size)) for size in (8192, 4096, 2048, 1024, 512, 256)]
    # measured curves wobble: two chunks of 512 can be a little cheaper than one of 1,024
    assert all(more >= 0.98 * less for less, more in itertools.pairwise(taken_s))
    assert taken_s[4] < 1.6 * taken_s[0]  # of 512 tokens


@pytest.mark.parametrize("entry", list_digests("engine"), ids=lambda entry: entry.name)
def test_every_shipped_engine_gives_possible_times_that_grow_with_the_work(entry):
    digest = load_digest(entry.name, "engine")
    assert isinstance(digest, EngineDigest)
    cost = cost_of(digest)
    split = re.search(r"-tp(\d)$", entry.name)  # experts spread over replicas (-ep2) leave each with one GPU
    assert cost.n_gpus == digest.n_gpus == int(split[1] if split else 1)
    assert 0.005 < fastest_s(cost, 256) < 0.1
    prefill = [cost.prefill_s(n, float(n) ** 2) for n in (64, 256, 1024, 4096)]
    assert prefill == sorted(prefill)
    decode = [sum(x * y for x, y in zip(cost.decode_line(n), (1, 500 * n), strict=True)) for n in (1, 8, 32, 90)]
    assert decode == sorted(decode)
    assert digest.kv_tok > min(digest.max_context_tok, 32_768)  # an RTX 4090 holds no whole context of Llama 3.1


def test_splitwise_digests_agree_with_the_raw_medians(raw_traces):
    path = raw_traces / "splitwise-perf-model" / "perf_model.csv.xz"
    numbers = ("prompt_size", "batch_size", "token_size", "tensor_parallel", "prompt_time", "token_time")
    table = read_csv(read_bytes(path), path, ("model", "hardware", *numbers))
    size = {name: table.numbers(name) for name in ("prompt_size", "batch_size", "token_size", "tensor_parallel")}
    time_s = {name: table.numbers(name) / 1000 for name in ("prompt_time", "token_time")}
    for entry in list_digests("engine"):
        digest = load_digest(entry.name, "engine")
        if digest.grid is None:
            continue
        cost, gpu = cost_of(digest), digest.hardware[:4].lower()
        mine = (table.words("model") == digest.model) & (table.words("hardware") == f"{gpu}-80gb")
        mine &= (size["tensor_parallel"] == digest.n_gpus) & (size["token_size"] == 128)
        for prompt, batch in ((512, 1), (512, 4), (512, 16), (512, 32), (128, 1), (2048, 1), (8192, 1)):
            rows = mine & (size["prompt_size"] == prompt) & (size["batch_size"] == batch)
            token_s = float(np.median(time_s["token_time"][rows]))
            fixed_s, slope_s = cost.decode_line(batch)
            found_s = fixed_s + slope_s * batch * (prompt + 64)
            assert found_s == pytest.approx(token_s, rel=0.06), (entry.name, prompt, batch)
            # prompts of several kinds share a total; 22 % covers both (one long prompt, many short ones)
            prompt_s = float(np.median(time_s["prompt_time"][rows]))
            assert cost.prefill_s(prompt * batch, 0) == pytest.approx(prompt_s, rel=0.22), (entry.name, prompt, batch)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (DistServeCost((-0.1, 1e-4, 0), (0.02, 0, 0), (0.02, 0, 0)), "a prefill of 1 tokens takes -0.0999 s"),
        (DistServeCost((0.1, 1e-4, 0), (0.02, -1e-6, 0), (0.02, 0, 0)), "costs -1e-06 s per KV token"),
        (DistServeCost((0.1, 1e-4, 0), (0.02, 0, 0), (-9.0, 0, 1e-3)), "a decode batch of 96 takes"),
        (DistServeCost((0.1, math.nan, 0), (0.02, 0, 0), (0.02, 0, 0)), "nan"),
        (ConstantCost(0.1, math.inf), "inf"),
    ],
)
def test_impossible_times_are_refused_with_the_place(cost, said):
    with pytest.raises(UserError, match=f"^{cost.name}: ") as caught:
        fastest_s(cost, 128)
    assert said in str(caught.value)


# --- memory, prefixes, plans ----------------------------------------------------------------------------------


@examples(200)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=12),
    st.integers(0, 40),
    st.integers(0, 60),
    st.sampled_from([1, 3, 16]),
    st.integers(1, 90),
)
def test_growth_is_what_counting_blocks_gives(contexts, step, free, block_tok, k):
    memory = KvMemory(10**6, block_tok, 0)
    for context in contexts:
        memory.join(context - step)  # its KV in the next iteration is `context`

    def blocks(after: int) -> int:
        return sum(math.ceil((context - 1 + after) / block_tok) for context in contexts)

    grown = [blocks(i) - blocks(0) for i in range(k + 1)]
    assert memory.growth(step, k) == grown[k]
    assert memory.next_growth(step) == grown[1]
    memory.free_blocks = free
    assert memory.room(step, k) == max(i for i in range(k + 1) if grown[i] <= free)
    memory.grow(step, k)
    assert memory.free_blocks == free - grown[k]


def test_a_prefix_is_reused_until_it_is_the_oldest():
    cache = PrefixCache(3, 512)
    assert cache.hit_tok((1, 2, 3)) == 0
    cache.keep((1, 2, 3))
    assert cache.hit_tok((1, 2, 9)) == 1024
    assert cache.hit_tok((9, 1)) == 0  # a prefix starts at the front
    cache.keep((4,))  # 3 was used least recently
    assert cache.hit_tok((1, 2, 3)) == 1024
    assert cache.hit_tok((4,)) == 512


@examples(200)
@given(st.floats(1e-3, 2.0), st.floats(0.0, 1e-3), st.integers(1, 400), st.floats(0.0, 1.2))
def test_the_iteration_that_runs_is_found(first_s, ramp_s, m, share):
    plan = Plan(begin_s=3.0, start_s=3.5, first_s=first_s, ramp_s=ramp_s, m=m)
    ends = [plan.end_s(i) for i in range(1, m + 1)]
    walked = list(itertools.accumulate([3.5 + first_s, *(first_s + ramp_s * i for i in range(1, m))]))
    np.testing.assert_allclose(ends, walked, rtol=1e-12)
    for t_s in (3.0 + share * (ends[-1] - 3.0), *ends[:3]):
        found = plan.index_at(t_s)
        assert found == next((i for i, end in enumerate(ends, 1) if end >= t_s), m)
