"""The replayed world against an oracle written without it: a few lines of numpy, and a plain loop over tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    NO_LINK,
    SKEWED_S,
    Floats,
    Played,
    constant_link,
    law,
    model,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.core.request import RequestTable, Segment
from discosim.core.rng import RandomStreams
from discosim.policies import policy_class
from discosim.policies.view import View
from discosim.world.world import WorldModel

SEED = 3
N = 300


def drawn(parts: WorldModel, role: str, n: int = N) -> Floats:
    """Return the draws of one role, request by request, straight from the named stream."""
    rng = RandomStreams(SEED).generator(role)
    if role.startswith("policy"):
        return rng.random(n)
    return (parts.server.ttft if "ttft" in role else parts.server.tpot).sample(n, rng)


def assert_same_times(found_s: Floats, expected_s: Any) -> None:
    """Compare whole timelines to a nanosecond: what adding in another order may change."""
    expected = np.asarray(expected_s)
    assert found_s.shape == expected.shape
    assert np.abs(found_s - expected).max() < 1e-9


# --- a few lines of numpy: who speaks first, then equal gaps ---------------------------------------------------


def token_share_threshold(prompt_tok: list[int], share: float) -> tuple[float, float]:
    """Walk up the sorted past prompts until they hold ``share`` of all tokens; return length and part taken there."""
    room = share * sum(prompt_tok)
    for length in sorted(set(prompt_tok)):
        held = length * prompt_tok.count(length)
        if held > room:
            return length, room / held
        room -= held
    return math.inf, 1.0


def token_quantile(pairs: list[tuple[float, int]], share: float) -> tuple[float, float, float]:
    """Return the shortest wait with at most this share of the tokens still unanswered, the one before, and its part."""
    total, heard, before = sum(n for _, n in pairs), 0, 0.0
    last_silent = 1.0
    for ttft_s, n in sorted(pairs):
        heard += n
        silent = 1.0 - heard / total
        if silent <= share:
            return ttft_s + 1e-9, before, (share - silent) / (last_silent - silent)
        before, last_silent = ttft_s + 1e-9, silent
    raise AssertionError("no wait is long enough")


def disco_server_waits(view: View, prompts: np.ndarray, coin: Floats, budget: float) -> Floats:
    """Return how long the server is held back: not at all, or for ever."""
    length, part = token_share_threshold(view.prompt_tok.tolist(), 1.0 - budget)
    joins = (prompts > length) | ((prompts == length) & (coin >= part))
    return np.where(joins, 0.0, np.inf)


def disco_device_waits(view: View, prompts: np.ndarray, coin: Floats, budget: float, alpha: float = 0.05) -> Floats:
    """Return how long the device is held back; a wait is learned from 100 past requests at least."""
    alpha = min(alpha, budget)
    length, part = token_share_threshold(view.prompt_tok.tolist(), (budget - alpha) / (1.0 - alpha))
    past = list(zip(view.server_ttft_s.tolist(), view.prompt_tok.tolist(), strict=True))
    n_long, n_equal = sum(n > length for _, n in past), sum(n == length for _, n in past)
    assert n_equal < 100
    # stable sorts: of equally near ones the first come first
    tail = sorted(past, key=lambda pair: max(0.0, length + 1 - pair[1]))[: max(100, n_long)]
    nearest = sorted(past, key=lambda pair: abs(pair[1] - length))[:100]
    waits = []
    for prompt, lot in zip(prompts.tolist(), coin.tolist(), strict=True):
        if prompt < length:
            waits.append(0.0)
            continue
        pairs, share = (nearest, part + (1.0 - part) * alpha) if prompt == length else (tail, alpha)
        lean_s, rich_s, rich_share = token_quantile(pairs, share)
        waits.append(rich_s if lot < rich_share else lean_s)
    return np.array(waits)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "server_only": ("server_only", {}),
    "device_only": ("device_only", {}),
    "race": ("race", {}),
    "Stoch-S exclusive": ("stochastic", {"constraint": "server", "variant": "exclusive", "budget": 0.3}),
    "Stoch-D exclusive": ("stochastic", {"constraint": "device", "variant": "exclusive", "budget": 0.3}),
    "Stoch-S racing": ("stochastic", {"constraint": "server", "variant": "racing", "budget": 0.3}),
    "Stoch-D racing": ("stochastic", {"constraint": "device", "variant": "racing", "budget": 0.3}),
    "DiSCo-S": ("disco", {"constraint": "server", "budget": 0.4, "migration": False}),
    "DiSCo-D": ("disco", {"constraint": "device", "budget": 0.4, "migration": False}),
    "DiSCo-D, tail only": ("disco", {"constraint": "device", "budget": 0.03, "migration": False}),
}


def starts_of(case: str, view: View, table: RequestTable, coin: Floats) -> tuple[Floats, Floats]:
    """Return after which waits the device and the server are asked, ``inf`` for never."""
    zero, never = np.zeros(len(table)), np.full(len(table), np.inf)
    by_lot = np.where(coin < 0.3, 0.0, np.inf)
    by_other_lot = np.where(coin < 0.3, np.inf, 0.0)
    return {
        "server_only": lambda: (never, zero),
        "device_only": lambda: (zero, never),
        "race": lambda: (zero, zero),
        "Stoch-S exclusive": lambda: (by_other_lot, by_lot),
        "Stoch-D exclusive": lambda: (by_lot, by_other_lot),
        "Stoch-S racing": lambda: (zero, by_lot),
        "Stoch-D racing": lambda: (by_lot, zero),
        "DiSCo-S": lambda: (zero, disco_server_waits(view, table.prompt_tok, coin, 0.4)),
        "DiSCo-D": lambda: (disco_device_waits(view, table.prompt_tok, coin, 0.4), zero),
        "DiSCo-D, tail only": lambda: (disco_device_waits(view, table.prompt_tok, coin, 0.03), zero),
    }[case]()


@pytest.mark.parametrize("rtt_s", [0.0, 0.08])
@pytest.mark.parametrize("rho", [0.0, 0.6])
@pytest.mark.parametrize("case", CASES)
def test_dispatch_equals_a_few_lines_of_numpy(case: str, rho: float, rtt_s: float) -> None:
    link = constant_link(rtt_s, up_share=0.25) if rtt_s else NO_LINK
    parts = model(service=server(ttft=law(SKEWED_S, rho)), link=link)
    table, view = requests(N, seed=SEED), past(parts)
    kind, options = CASES[case]
    played = play(policy_class(kind)(**options), parts, table, seed=SEED, view=view)

    t0 = table.arrival_s
    device_wait, server_wait = starts_of(case, view, table, drawn(parts, "policy.dispatch"))
    server_ttft = drawn(parts, "server.ttft.0") + rtt_s
    device_says = device_wait + 0.01 * table.prompt_tok
    # an endpoint held back never starts once the other has spoken
    device_says[server_wait + server_ttft <= device_wait] = np.inf
    server_says = server_wait + server_ttft
    is_server = server_says < device_says
    gap = np.where(is_server, drawn(parts, "server.tpot.0"), 1 / 15.0)
    for i, record in enumerate(played.records):
        delivered = t0[i] + min(device_says[i], server_says[i]) + gap[i] * np.arange(table.output_tok[i])
        generated = delivered - (0.75 * rtt_s if is_server[i] else 0.0)
        assert_same_times(record.delivered_s, delivered)
        assert_same_times(record.generated_s, generated)
        assert record.first_endpoint == ("server" if is_server[i] else "device")
        assert record.is_device_dispatched == np.isfinite(device_says[i])
        assert record.is_server_dispatched == np.isfinite(server_says[i])
    if kind not in {"server_only", "device_only"}:  # a case in which everything happens alike proves little
        assert any(0.01 < np.mean(x) < 0.99 for x in (is_server, np.isfinite(device_says), np.isfinite(server_says)))


# --- DiSCo with migration, packets and the bill: one token at a time ------------------------------------------------


@dataclass
class Answer:
    """One endpoint's tokens, as lists of plain floats."""

    endpoint: str
    prompt_tok: int
    begun_s: float
    spoken_s: float
    generated_s: list[float]
    arrived_s: list[float]
    accepted_s: float = 0.0
    stopped_s: float = math.inf
    is_prefill_only: bool = False

    def n_generated(self) -> int:
        if self.is_prefill_only:
            return 1
        return sum(t <= self.stopped_s for t in self.generated_s)

    def prefilled_tok(self) -> float:
        if self.endpoint == "server" or self.is_prefill_only or self.stopped_s >= self.generated_s[0]:
            return self.prompt_tok
        return self.prompt_tok * (self.stopped_s - self.begun_s) / (self.generated_s[0] - self.begun_s)

    def busy_until_s(self) -> float:
        return self.generated_s[0] if self.is_prefill_only else min(self.stopped_s, self.generated_s[-1])


@dataclass
class PlainDisco:
    """DiSCo with migration for one request at a time, straight from its definition."""

    parts: WorldModel
    table: RequestTable
    view: View
    side: Literal["server", "device"]
    budget: float
    losers: str
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        prompts, coin = self.table.prompt_tok, drawn(self.parts, "policy.dispatch", len(self.table))
        if self.side == "server":
            self.waits = disco_server_waits(self.view, prompts, coin, self.budget)
        else:
            self.waits = disco_device_waits(self.view, prompts, coin, self.budget)
        n = len(self.table)
        self.ttft = [drawn(self.parts, f"server.ttft.{k}", n) for k in range(2)]
        self.tpot = [drawn(self.parts, f"server.tpot.{k}", n) for k in range(2)]
        self.past_outputs = self.view.output_tok.tolist()

    def device(self, at_s: float, prompt_tok: int, n: int) -> Answer:
        unit = self.parts.fleet[0][0]
        first = at_s + unit.prefill_intercept_s + unit.prefill_s_per_tok * prompt_tok
        times = [first + j / unit.decode_tok_per_s for j in range(n)]
        return Answer("device", prompt_tok, at_s, first, times, times)

    def server(self, i: int, at_s: float, prompt_tok: int, n: int) -> Answer:
        attempt = sum(answer.endpoint == "server" for answer in self.answers)
        up, down, group = self.up_s, self.down_s, self.parts.link.tokens_per_packet
        first = at_s + up + self.ttft[attempt][i]
        gap = self.tpot[attempt][i]
        times = [first + j * gap for j in range(n)]
        arrived = [times[min((j // group + 1) * group, n) - 1] + down for j in range(n)]
        return Answer("server", prompt_tok, at_s, arrived[0], times, arrived, accepted_s=at_s + up)

    @property
    def up_s(self) -> float:
        link = self.parts.link
        return 0.0 if link.rtt is None else link.rtt.table.values[0] * link.up_share

    @property
    def down_s(self) -> float:
        link = self.parts.link
        return 0.0 if link.rtt is None else link.rtt.table.values[0] * (1 - link.up_share)

    def stop(self, answer: Answer, at_s: float, losers: str) -> None:
        if answer.endpoint == "server":
            if losers != "run_on":
                answer.stopped_s = max(at_s + self.up_s, answer.accepted_s)
        elif losers == "cancel" or (losers == "finish_prefill" and at_s >= answer.generated_s[0]):
            answer.stopped_s = at_s
        elif losers == "finish_prefill":
            answer.is_prefill_only = True

    def expected_rest(self, k: int) -> float:
        longer = [length - k for length in self.past_outputs if length > k]
        return sum(longer) / len(longer) if longer else 0.0

    def serve(self, i: int) -> tuple[list[Segment], list[float], list[float]]:
        """Return segments, generation and arrival times of the answer to request i; fills ``answers``."""
        self.answers = []
        at_s, prompt, n = float(self.table.arrival_s[i]), int(self.table.prompt_tok[i]), int(self.table.output_tok[i])
        if self.side == "server":
            self.answers.append(self.device(at_s, prompt, n))
            if self.waits[i] == 0.0:
                self.answers.append(self.server(i, at_s, prompt, n))
        else:
            self.answers.append(self.server(i, at_s, prompt, n))
            wait = float(self.waits[i])
            if self.answers[0].spoken_s > at_s + wait:
                self.answers.append(self.device(at_s + wait, prompt, n))
        winner = min(self.answers, key=lambda answer: answer.spoken_s)
        for loser in self.answers:
            if loser is not winner:
                self.stop(loser, winner.spoken_s, self.losers)

        k = self.handover_token(winner, i, prompt, n)
        if k is None:
            return [Segment(winner.endpoint, 1, n)], winner.generated_s, winner.arrived_s
        now = winner.arrived_s[k - 1]
        target = (
            self.device(now, prompt + k, n - k)
            if winner.endpoint == "server"
            else self.server(i, now, prompt + k, n - k)
        )
        self.answers.append(target)
        self.stop(winner, now, "cancel")
        segments = [Segment(winner.endpoint, 1, k), Segment(target.endpoint, k + 1, n)]
        return (
            segments,
            winner.generated_s[:k] + target.generated_s,
            winner.arrived_s[:k] + target.arrived_s,
        )

    def handover_token(self, winner: Answer, i: int, prompt: int, n: int) -> int | None:
        """Return the first token after which both the cost gate and the buffer rule hold."""
        unit, meter = self.parts.fleet[0][0], self.parts.meter
        rate = meter.exchange_rate_usd_per_j
        device_usd = {"prefill": rate * unit.prefill_j_per_tok, "decode": rate * unit.decode_j_per_tok}
        server_usd = {"prefill": meter.prompt_usd_per_tok, "decode": meter.output_usd_per_tok}
        here, there = (server_usd, device_usd) if winner.endpoint == "server" else (device_usd, server_usd)
        if here["decode"] <= there["decode"]:
            return None
        mean_ttft_s = sum(self.view.server_ttft_s.tolist()) / self.view.server_ttft_s.size
        interval_s = 1.0 / float(self.table.reader_tok_per_s[i])
        displayed_s = -math.inf
        for k in range(1, n):
            arrived_s = winner.arrived_s[k - 1]
            displayed_s = max(arrived_s, displayed_s + interval_s)
            saving = (here["decode"] - there["decode"]) * self.expected_rest(k)
            if winner.endpoint == "server":
                on_the_way = 2 * self.view.link_delay_s / self.view.server_tpot_s
                saving -= here["decode"] * min(self.expected_rest(k), on_the_way)
                t_m = unit.prefill_intercept_s + unit.prefill_s_per_tok * (prompt + k)
            else:
                t_m = mean_ttft_s
            # B = r t_m tokens are buffered exactly if token k + 1, due one interval from now on screen, is not late
            if saving > there["prefill"] * (prompt + k) and arrived_s + t_m <= displayed_s + interval_s:
                busy = any(a.endpoint == "device" and a.busy_until_s() > arrived_s for a in self.answers)
                return None if winner.endpoint == "server" and busy else k
        return None


def compare(played: Played, plain: PlainDisco) -> dict[str, int]:
    """Compare every token and every billed quantity; count what happened."""
    counts = {"migrated": 0, "raced": 0, "wasted": 0}
    for i, record in enumerate(played.records):
        segments, generated_s, delivered_s = plain.serve(i)
        assert list(record.segments) == segments, i
        assert_same_times(record.generated_s, generated_s)
        assert_same_times(record.delivered_s, delivered_s)
        on_server = [a for a in plain.answers if a.endpoint == "server"]
        on_device = [a for a in plain.answers if a.endpoint == "device"]
        assert record.server_prompt_tok == sum(a.prompt_tok for a in on_server)
        assert record.server_output_tok == sum(a.n_generated() for a in on_server)
        assert record.device_decode_tok == sum(a.n_generated() for a in on_device)
        assert record.device_prefill_tok == pytest.approx(sum(a.prefilled_tok() for a in on_device), abs=1e-6)
        made = record.server_output_tok + record.device_decode_tok
        assert record.n_tok_wasted == made - record.output_tok
        unit, meter = plain.parts.fleet[0][0], plain.parts.meter
        joule = record.device_prefill_tok * unit.prefill_j_per_tok + record.device_decode_tok * unit.decode_j_per_tok
        usd = record.server_prompt_tok * meter.prompt_usd_per_tok + record.server_output_tok * meter.output_usd_per_tok
        assert record.unified_cost_usd == pytest.approx(usd + joule * meter.exchange_rate_usd_per_j, rel=1e-9)
        counts["migrated"] += len(segments) > 1
        counts["raced"] += record.is_device_dispatched and record.is_server_dispatched
        counts["wasted"] += record.n_tok_wasted > 0
    return counts


@pytest.mark.parametrize("losers", ["cancel", "finish_prefill", "run_on"])
@pytest.mark.parametrize("meter", [DEAR_SERVER, DEAR_DEVICE], ids=["dear server", "dear device"])
@pytest.mark.parametrize("side", ["server", "device"])
@pytest.mark.parametrize(
    "link",
    [NO_LINK, constant_link(0.09, up_share=0.3), constant_link(0.06, tokens_per_packet=5)],
    ids=["no link", "constant link", "packets"],
)
def test_disco_with_migration_equals_a_plain_loop_over_tokens(link: Any, side: Any, meter: Any, losers: str) -> None:
    n = 100
    parts = model(link=link, meter=meter, device=profile(prefill_intercept_s=0.05))
    table, view = requests(n, seed=SEED, gap_s=60.0), past(parts, n=211)
    policy = policy_class("disco")(constraint=side, budget=0.5, losers=losers)
    played = play(policy, parts, table, seed=SEED, view=view)
    counts = compare(played, PlainDisco(parts, table, view, side, 0.5, losers))
    assert counts["raced"] > 10
    if losers == "cancel":
        assert counts["migrated"] > 10
    if losers == "run_on":
        assert counts["wasted"] > 10


def test_a_cancel_is_billed_until_it_arrives() -> None:
    # Worked by hand: device speaks at 1.0 s; the server (TTFT 0.95 s after 0.2 s up, a token every 0.1 s) hears of it
    # at 1.2 s and has generated its tokens of 1.15 s only.
    service = server(ttft=law(type(SKEWED_S).constant(0.95)), tpot=law(type(SKEWED_S).constant(0.1)))
    parts = model(service=service, link=constant_link(0.4), device=profile(prefill_s_per_tok=0.01))
    table = requests(1, prompt_tok=100, output_tok=50)
    (record,) = play(policy_class("race")(), parts, table).records
    assert record.first_endpoint == "device"
    assert (record.server_prompt_tok, record.server_output_tok, record.n_tok_wasted) == (100, 1, 1)
    # one link twice as slow: the device's cancel now arrives after 0.4 s, at 1.4 s; tokens of 1.35 s have been made
    slow = model(service=service, link=constant_link(0.8), device=profile(prefill_s_per_tok=0.01))
    (record,) = play(policy_class("race")(), slow, table).records
    assert (record.server_output_tok, record.n_tok_wasted) == (1, 1)
    # and if the service is never cancelled it makes them all
    (record,) = play(policy_class("race")(losers="run_on"), slow, table).records
    assert (record.server_output_tok, record.n_tok_wasted) == (50, 50)
    # a device that loses half-way through its prefill of 100 tokens has worked on half of them
    fast = model(service=server(ttft=law(type(SKEWED_S).constant(0.5))), device=profile(prefill_s_per_tok=0.01))
    (record,) = play(policy_class("race")(), fast, table).records
    assert record.first_endpoint == "server"
    assert record.device_prefill_tok == pytest.approx(50)
    assert record.device_decode_tok == 0
    (record,) = play(policy_class("race")(losers="finish_prefill"), fast, table).records
    assert (record.device_prefill_tok, record.device_decode_tok) == (100, 1)
