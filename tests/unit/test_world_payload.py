"""What a hand-over sends up: token IDs are lighter than text, and only a narrow uplink notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import DEAR_DEVICE, constant, model, past, play, profile, requests, server

from discosim.policies.disco import Disco
from discosim.world.link import BYTES_PER_TOK, LinkModel

UPLINK_BIT_PER_S = 8_000.0  # a kilobyte a second: 200 tokens of text take 0.8 s
SERVICE = server(ttft=constant(0.5), tpot=constant(0.02))


def _hand_over(payload: str, uplink_bit_per_s: float | None) -> tuple[int, float]:
    """Return the last token of the device and the time until the service's first one."""
    parts = model(
        device=profile(prefill_s_per_tok=0.0001),
        service=SERVICE,
        link=LinkModel(rtt=constant(0.0), uplink_bit_per_s=uplink_bit_per_s),
        meter=DEAR_DEVICE,
    )
    view = replace(past(parts, prompt_tok=np.full(50, 200)), uplink_bit_per_s=uplink_bit_per_s)
    policy = Disco(constraint="server", budget=0.0, payload=payload)
    record = play(policy, parts, requests(1, prompt_tok=200, output_tok=150), view=view).records[0]
    assert [s.endpoint for s in record.segments] == ["device", "server"]
    last = record.segments[0].last_token
    return last, float(record.delivered_s[last] - record.delivered_s[last - 1])


@pytest.mark.parametrize("payload", ["text", "token_ids"])
def test_the_upload_takes_its_bytes(payload):
    last, gap_s = _hand_over(payload, UPLINK_BIT_PER_S)
    upload_s = 8.0 * (200 + last) * BYTES_PER_TOK[payload] / UPLINK_BIT_PER_S
    assert gap_s == pytest.approx(upload_s + 0.5, abs=1e-9)


def test_token_ids_hand_over_sooner_and_faster():
    text, ids = _hand_over("text", UPLINK_BIT_PER_S), _hand_over("token_ids", UPLINK_BIT_PER_S)
    assert ids[0] < text[0]
    assert ids[1] < text[1]


def test_an_infinite_uplink_does_not_care():
    assert _hand_over("text", None) == _hand_over("token_ids", None)
