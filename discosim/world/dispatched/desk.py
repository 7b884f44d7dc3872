"""What all planned requests of a replication share: the parts of their world, and what is known of each, as lists."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import simpy

from discosim.world.dispatched.answer import Answer, HearsEngine
from discosim.world.dispatched.phone import Phone
from discosim.world.dispatched.planned import Planned
from discosim.world.dispatched.ways import Way
from discosim.world.dispatched.work import HearsDevice, Work
from discosim.world.engine.engine import NOBODY, Engine
from discosim.world.engine.job import Job
from discosim.world.engine.stream import joined
from discosim.world.link import BYTES_PER_TOK, Link
from discosim.world.session import Loser


class Desk:
    """What all requests of a replication share: whom they ask, and what they are told of each other."""

    def __init__(self, env: simpy.Environment, engine: Engine, link: Link, planned: Planned) -> None:
        self.table = table = planned.table
        self.env = env
        self.engine = engine
        self.link = link
        self.losers: Loser = planned.losers
        self.server_is_first = planned.server_is_first
        self.server_after_s: list[float] = planned.server_after_s.tolist()
        self.device_after_s: list[float] = planned.device_after_s.tolist()
        self.holds: list[bool] = planned.holds.tolist()
        self.is_refused: list[bool] = planned.is_refused.tolist()
        self.falls_back: list[bool] = planned.falls_back.tolist()
        self._ways = planned.ways
        self._kind: list[int] = [] if planned.ways is None else planned.ways.kind.tolist()
        self._luck: dict[int, tuple[list[float], list[float], list[float]]] = {}
        self._phones: defaultdict[int, Phone] = defaultdict(partial(Phone, env))
        self._user_id: list[int] = table.user_id.tolist()
        self.prompt_tok: list[int] = table.prompt_tok.tolist()
        self.output_tok: list[int] = table.output_tok.tolist()
        self.reader_tok_per_s: list[float] = table.reader_tok_per_s.tolist()
        self._ttft_target_s: list[float] = table.ttft_target_s.tolist()
        self._hashes = table.prefix_hashes
        self._bulk_s: list[float] = planned.bulk_s.tolist()
        self._work_s: list[float] = planned.work_s.tolist()
        self._gap_s: list[float] = planned.gap_s.tolist()
        self._decode_s: list[float] = planned.decode_s.tolist()
        self._down_spread_s = 0.0 if link.is_instant else link.down_spread_s

    # --- the device -------------------------------------------------------------------------------------------

    def phone_of(self, i: int) -> Phone:
        """Return the device of whoever asks."""
        return self._phones[self._user_id[i]]

    def work_of(self, i: int, owner: HearsDevice) -> Work:
        """Return what the whole answer is to its device."""
        return Work(self.env, owner, self._work_s[i], self._gap_s[i], self._decode_s[i])

    def rest_of_work(self, i: int, after_tok: int, attempt: int, owner: HearsDevice) -> Work | None:
        """Return what the rest of the answer is to its device, asked for the time ``attempt``; None if that refuses."""
        assert self._ways is not None
        if attempt not in self._luck:
            ratio, stall_s, gap_s = self._ways.luck(attempt)
            self._luck[attempt] = ratio.tolist(), stall_s.tolist(), gap_s.tolist()
        ratios, stalls_s, gaps_s = self._luck[attempt]
        profile, prompt_tok = self._ways.profiles[self._kind[i]], self.prompt_tok[i] + after_tok
        if not profile.holds(prompt_tok):
            return None
        work_s = stalls_s[i] + profile.prefill_s(prompt_tok) * ratios[i]
        decode_s = (self.output_tok[i] - after_tok - 1) * gaps_s[i]
        return Work(self.env, owner, work_s, gaps_s[i], decode_s)

    def way_of(self, i: int, *, is_server: bool) -> Way | None:
        """Return the way out of who speaks; None where there is none for this device, or for so long a prompt."""
        if self._ways is None:
            return None
        way = (self._ways.from_server if is_server else self._ways.from_device)[self._kind[i]]
        return None if way is None or self.prompt_tok[i] >= way.limit_tok else way

    # --- the server -------------------------------------------------------------------------------------------

    def ask_server(self, i: int, owner: HearsEngine, after_tok: int = 0) -> tuple[Answer | None, float]:
        """Ask the engine for an answer, or its rest; return it, or None and when the client learns of its refusal."""
        env, engine, link, user_id = self.env, self.engine, self.link, self._user_id[i]
        now_s = env.now
        prompt_tok, n_tok, bulk_s = self.prompt_tok[i] + after_tok, self.output_tok[i] - after_tok, self._bulk_s[i]
        is_refused = self.is_refused[i]
        if after_tok:
            assert self._ways is not None
            bulk_s = link.bulk_s(prompt_tok * BYTES_PER_TOK[self._ways.payload])
            is_refused = prompt_tok + n_tok > engine.model.safe_tok and bool(
                engine.model.why_refused(prompt_tok, n_tok)
            )
        up_s = link.up_s(now_s, user_id) + bulk_s
        number = engine.number()
        if is_refused:
            return None, now_s + up_s + link.down_s(now_s + up_s, user_id)
        job = Job(
            number,
            NOBODY,
            prompt_tok,
            n_tok,
            now_s + up_s,
            self.reader_tok_per_s[i],
            self._ttft_target_s[i],
            () if self._hashes is None else self._hashes[i],
        )
        answer = Answer(engine, link, user_id, owner, job)
        answer.send(up_s)
        return answer, 0.0

    def last_arrival_s(self, i: int, job: Job) -> float:
        """Return when the last token of an answer that is made reaches the client, as `Link.deliver` has it."""
        made_s, link, user_id = joined(job), self.link, self._user_id[i]
        if link.is_instant:
            return float(made_s[-1])
        last_s = float(made_s.max())
        if self._down_spread_s == 0.0:  # all take as long
            return last_s + link.down_s(last_s, user_id)
        # a late packet holds those behind it: only one that was sent shortly before the last can come after it
        near_s = made_s[made_s.searchsorted(last_s - 1.000001 * self._down_spread_s - 1e-6) :]
        return float(link.deliver(near_s, user_id)[-1])
