"""What a policy may know before the first request, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import DEAR_DEVICE, DEAR_SERVER, model, past, profile

from discosim.policies.budget import resolve_constraint
from discosim.policies.view import PromptLaw
from discosim.world.meter import Meter


def test_the_expected_rest_is_the_mean_of_what_longer_answers_still_had_to_come() -> None:
    outputs = np.random.default_rng(1).choice([1, 2, 5, 9, 30], 50)
    view = past(model(), prompt_tok=np.ones(50), output_tok=outputs)
    rest = view.residual_output_tok
    assert rest.size == 31
    for k in range(31):
        longer = outputs[outputs > k]
        assert rest[k] == pytest.approx((longer - k).mean() if longer.size else 0.0)


def test_a_past_quantile_is_the_smallest_ttft_that_enough_requests_did_not_exceed() -> None:
    ttft_s = [0.3, 0.1, np.inf, 0.2, 0.2]
    view = past(model(), prompt_tok=np.ones(5), output_tok=np.ones(5), ttft_s=ttft_s)
    assert [view.server_ttft_quantile_s(p) for p in (0.0, 0.1, 0.2, 0.21, 0.6, 0.61, 0.8, 0.81, 1.0)] == [
        *(0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, np.inf, np.inf)
    ]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 0.77, 1.0])
def test_prompt_tokens_are_split_at_the_share(share: float) -> None:
    prompts = np.random.default_rng(2).choice([3, 10, 40, 41, 500], 200)
    length, part = PromptLaw.of(prompts).split(share)
    below = prompts[prompts < length].sum() + part * prompts[prompts == length].sum()
    assert below / prompts.sum() == pytest.approx(share)
    assert 0.0 <= part <= 1.0


def test_the_regime_test_compares_prices_phase_by_phase_then_requests() -> None:
    def side(meter: Meter, **device: float) -> str:
        return resolve_constraint("auto", past(model(meter=meter, device=profile(**device))))

    assert side(DEAR_SERVER) == "server"
    assert side(DEAR_DEVICE) == "device"
    # neither is dearer in both phases: an average request decides (200 prompt and 100 output tokens here, about)
    mixed = Meter(prompt_usd_per_tok=1e-6, output_usd_per_tok=1e-6, exchange_rate_usd_per_j=1e-6)
    assert side(mixed, prefill_j_per_tok=0.1, decode_j_per_tok=1.5) == "server"
    assert side(mixed, prefill_j_per_tok=0.1, decode_j_per_tok=9.0) == "device"
    for given in ("server", "device"):
        assert resolve_constraint(given, past(model())) == given
