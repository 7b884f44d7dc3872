"""QoE-aware schedulers in the leaping engine and in the plain one: the same decisions, the same token times."""

from __future__ import annotations

import copy

import pytest
from engines import FLAT, LINES, Case, cases, run_leaping
from hypothesis import given
from stepping_engine import Ask
from test_engine_leaps import check_equal
from worlds import examples, exhaustive, long

from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.engine.schedulers.andes_v1 import AndesV1
from discosim.world.engine.schedulers.andes_v2 import AndesV2
from discosim.world.engine.schedulers.lqsf import Lqsf
from discosim.world.engine.schedulers.round_robin import RoundRobin

SCHEDULERS = {
    "round robin": RoundRobin(quantum=7),
    "lqsf": Lqsf(),
    "lqsf, unlimited": Lqsf(is_overhead_aware=False, every=4),
    "v1": AndesV1(),
    "v1 at every boundary": AndesV1(solve_every=1, max_preemptions=None),
    "v1, short cap": AndesV1(solve_every=3, max_preemptions=0.3, max_prefill_tok=100),
    "v1, by arrival": AndesV1(admission="arrival", solve_every=4),
    "v1, least worth leaves": AndesV1(overflow="priority", solve_every=6, max_preemptions=0.5),
    "v2, least worth leaves": AndesV2(overflow="priority", objective="perfect", solve_every=3),
    "v1, exact": AndesV1(solver="dp", n_sizes=2, solve_every=4),
    "v1, worst first": AndesV1(objective="max_min", solve_every=5),
    "v2": AndesV2(),
    "v2, no refiner, perfect": AndesV2(refiner=False, objective="perfect", solve_every=2),
    "code": AndesCode(),
    "code, September": AndesCode(is_overhead_aware=False, every=3),
    "code, LQF, worst first": AndesCode(weigh="nothing", objective="max_min", every=5),
}


def uneven(max_asks=14):
    """Leave out what rounding would decide.

    With iterations of a round length a cancel may fall on the very boundary. Answers of one token are worth the same
    whatever the reading rate, but computed from different numbers: among such equals either may come first.
    """
    return cases(max_asks=max_asks).filter(lambda case: case.model.cost is not FLAT and not _has_equals(case))


def _has_equals(case):
    return len({ask.reader_tok_per_s for ask in case.asks if ask.answer_tok == 1}) > 1


@pytest.mark.parametrize("name", [name if name in {"v1", "v2"} else long(name) for name in SCHEDULERS])
def test_a_leap_ends_where_steps_would(name):
    @examples(25)
    @given(uneven())
    def check(case):
        check_equal(case, SCHEDULERS[name])

    check()


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_who_fits_beside_one_that_fills_the_memory_does_not_wait_for_the_solver(name):
    """Everybody is inside when the solver has its turn: it sets no batch size that would keep a newcomer out."""
    model = ReplicaModel(cost=LINES, kv_blocks=100, block_tok=1, watermark=0.0)
    large = Ask(arrival_s=0.0, prompt_tok=85, answer_tok=14, reader_tok_per_s=2.0, ttft_target_s=1.0)
    small = Ask(arrival_s=0.257, prompt_tok=1, answer_tok=1, reader_tok_per_s=2.0, ttft_target_s=1.0)
    check_equal(Case(model, [large, small]), SCHEDULERS[name])
    _, (_, job), seen = run_leaping(model, copy.deepcopy(SCHEDULERS[name]), [large, small])
    boundary_s = next(end_s for begin_s, end_s, *_ in seen.log if begin_s < small.arrival_s <= end_s)
    assert job.owner.first_s == pytest.approx(boundary_s + LINES.prefill_s(1, 1.0))


@pytest.mark.long
@pytest.mark.parametrize("name", [name if name in {"v1", "v2"} else exhaustive(name) for name in SCHEDULERS])
def test_a_leap_ends_where_steps_would_in_many_larger_scenarios(name):
    n_preemptions = 0

    @examples(25)
    @given(uneven(30))
    def check(case):
        nonlocal n_preemptions
        n_preemptions += check_equal(case, SCHEDULERS[name])

    check()
    assert n_preemptions > 5  # the scenarios do press on the memory


@pytest.mark.long
@pytest.mark.parametrize("name", ["lqsf", "code"])
def test_who_decides_ahead_leaps_as_it_steps(name):
    @examples(25)
    @given(cases(decides_ahead=True).filter(lambda case: case.model.cost is not FLAT and not _has_equals(case)))
    def check(case):
        check_equal(case, SCHEDULERS[name])

    check()
