"""One planned request from its arrival to its record: what its session, its policy and its streams would do.

The events are theirs, in their order: the way up, the wait for who is held back, the device's first token, the way
down, the cancel on its way, the end of what is shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial

import simpy
from simpy.events import Event, Timeout

from discosim.world.dispatched.phone import Phone
from discosim.world.dispatched.planned import Planned
from discosim.world.engine.engine import Engine
from discosim.world.engine.job import Job, State
from discosim.world.engine.stream import joined
from discosim.world.link import Link
from discosim.world.session import Loser

SILENT, SERVER, DEVICE, FAILED, REFUSED = range(5)
"""Who has spoken first; nobody yet, or nobody ever since all have refused, in the end a device or the server alone."""
NOTHING, END, CLOSE = range(3)
"""What a request waits for, where nobody knows when it comes: the end of the answer, or of work told to stop."""


class Desk:
    """What all requests of a replication share.

    Attributes
    ----------
    over : list of Pending
        Requests whose record has come out, in that order; whoever reads them empties it.
    """

    def __init__(self, env: simpy.Environment, engine: Engine, link: Link, planned: Planned) -> None:
        self.table = table = planned.table
        self.env = env
        self.engine = engine
        self.link = link
        self.losers: Loser = planned.losers
        self.server_is_first = planned.server_is_first
        self.phones: defaultdict[int, Phone] = defaultdict(partial(Phone, env))
        self.over: list[Pending] = []
        self.user_id: list[int] = table.user_id.tolist()
        self.prompt_tok: list[int] = table.prompt_tok.tolist()
        self.output_tok: list[int] = table.output_tok.tolist()
        self.reader_tok_per_s: list[float] = table.reader_tok_per_s.tolist()
        self.ttft_target_s: list[float] = table.ttft_target_s.tolist()
        self.hashes = table.prefix_hashes
        self.server_after_s: list[float] = planned.server_after_s.tolist()
        self.device_after_s: list[float] = planned.device_after_s.tolist()
        self.holds: list[bool] = planned.holds.tolist()
        self.is_refused: list[bool] = planned.is_refused.tolist()
        self.falls_back: list[bool] = planned.falls_back.tolist()
        self.bulk_s: list[float] = planned.bulk_s.tolist()
        self.work_s: list[float] = planned.work_s.tolist()
        self.decode_s: list[float] = planned.decode_s.tolist()
        self._down_spread_s = 0.0 if link.is_instant else link.down_spread_s

    def last_arrival_s(self, job: Job, user_id: int) -> float:
        """Return when the last token of an answer that is made reaches the client, as `Link.deliver` has it."""
        made_s, link = joined(job), self.link
        if link.is_instant:
            return float(made_s[-1])
        last_s = float(made_s.max())
        if self._down_spread_s == 0.0:  # all take as long
            return last_s + link.down_s(last_s, user_id)
        # a late packet holds those behind it: only one that was sent shortly before the last can come after it
        near_s = made_s[made_s.searchsorted(last_s - 1.000001 * self._down_spread_s - 1e-6) :]
        return float(link.deliver(near_s, user_id)[-1])


class Pending:
    """One request; owner of its job in the engine, and what its device works on.

    Attributes
    ----------
    i : int
        Its number.
    job : Job or None
        Its job in the engine; None where the server was not asked, or has refused.
    speaker : int
        Who has spoken first, see above.
    spoke_s : float
        When, on the clock.
    begin_s, prefill_end_s : float
        When its device has turned to it, and when that yields the first token; inf where it has not.
    is_device_asked, is_prefill_only : bool
        Whether its device was asked and holds the prompt, and whether it had to finish the prefill for nothing.
    """

    __slots__ = (
        "_desk",
        "_is_closed",
        "_is_dropped",
        "_is_hushed",
        "_n_open",
        "_tries_device",
        "_tries_server",
        "_waits_for",
        "begin_s",
        "i",
        "is_device_asked",
        "is_prefill_only",
        "job",
        "prefill_end_s",
        "speaker",
        "spoke_s",
    )

    def __init__(self, desk: Desk, i: int) -> None:
        self._desk = desk
        self.i = i
        self.job: Job | None = None
        self.speaker = SILENT
        self.spoke_s = self.begin_s = self.prefill_end_s = math.inf
        self.is_device_asked = self.is_prefill_only = False
        self._is_closed = self._is_dropped = self._is_hushed = False  # as said of its stream from the engine
        self._waits_for = NOTHING
        self._n_open = 0  # of those who were asked, who may still speak
        self._tries_device = self._tries_server = False

    # --- asking -----------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """Ask who is to be asked at once, and wait with the other one."""
        desk, i = self._desk, self.i
        server_s, device_s = desk.server_after_s[i], desk.device_after_s[i]
        if server_s == 0.0 and desk.server_is_first:
            self._ask_server()
        if device_s == 0.0:
            self._ask_device()
        if server_s == 0.0 and not desk.server_is_first:
            self._ask_server()
        if 0.0 < device_s < math.inf:
            Timeout(desk.env, device_s).callbacks.append(self._ask_device)
        elif 0.0 < server_s < math.inf:
            Timeout(desk.env, server_s).callbacks.append(self._ask_server)

    def _ask_device(self, _: Event | None = None) -> None:
        desk, i = self._desk, self.i
        if self.speaker or self._tries_device:
            return
        self._tries_device = True
        self._n_open += 1
        if not desk.holds[i]:
            Timeout(desk.env, 0.0).callbacks.append(self._refuses)
            return
        self.is_device_asked = True
        desk.phones[desk.user_id[i]].take(self)

    def _ask_server(self, _: Event | None = None) -> None:
        if self.speaker or self._tries_server:
            return
        self._tries_server = True
        desk, i = self._desk, self.i
        now_s = desk.env.now
        up_s = desk.link.up_s(now_s, desk.user_id[i]) + desk.bulk_s[i]
        number = desk.engine.number()
        self._n_open += 1
        if desk.is_refused[i]:
            known_s = now_s + up_s + desk.link.down_s(now_s + up_s, desk.user_id[i])
            Timeout(desk.env, max(0.0, known_s - now_s)).callbacks.append(self._refuses)
            return
        self.job = Job(
            number,
            self,
            desk.prompt_tok[i],
            desk.output_tok[i],
            now_s + up_s,
            desk.reader_tok_per_s[i],
            desk.ttft_target_s[i],
            () if desk.hashes is None else desk.hashes[i],
        )
        if up_s > 0.0:
            Timeout(desk.env, up_s).callbacks.append(self._submit)
        else:
            self._submit()

    def _submit(self, _: Event | None = None) -> None:
        job, desk = self.job, self._desk
        assert job is not None
        job.arrival_s = desk.env.now
        if self._is_dropped:
            job.state = State.GONE
            self.on_end(job.arrival_s)
        else:
            desk.engine.submit(job)

    def _refuses(self, _: Event) -> None:
        """Hear that one who was asked will not speak."""
        if self.speaker:
            return
        self._n_open -= 1
        if self._n_open:
            return
        if not (self._tries_device and self._tries_server) and self._desk.falls_back[self.i]:
            self._ask_device()
            self._ask_server()
        else:
            self.speaker = FAILED if self._tries_device else REFUSED
            self._desk.over.append(self)

    # --- the device -------------------------------------------------------------------------------------------

    def begin(self) -> float:
        """Let its device turn to it, and return when that will be done."""
        desk, i = self._desk, self.i
        self.begin_s = now_s = desk.env.now
        self.prefill_end_s = end_s = now_s + desk.work_s[i]
        if self.is_prefill_only:
            return end_s
        Timeout(desk.env, max(0.0, end_s - now_s)).callbacks.append(self._device_speaks)
        return desk.decode_s[i] + end_s

    def _device_speaks(self, _: Event) -> None:
        if self.speaker:
            return
        desk = self._desk
        now_s, job = desk.env.now, self.job
        self.speaker, self.spoke_s = DEVICE, now_s
        if job is not None and desk.losers != "run_on":
            self._stop_server(now_s)
        over_s = desk.decode_s[self.i] + self.prefill_end_s
        Timeout(desk.env, max(0.0, over_s - now_s)).callbacks.append(self._ended)

    def _stop_device(self, now_s: float) -> None:
        desk = self._desk
        free_s = now_s
        if desk.losers == "finish_prefill" and now_s < self.prefill_end_s:
            self.is_prefill_only = True
            if self.begin_s == math.inf:  # its turn comes all the same
                return
            free_s = self.prefill_end_s
        desk.phones[desk.user_id[self.i]].release(self, free_s)

    # --- the server -------------------------------------------------------------------------------------------

    def _stop_server(self, now_s: float) -> None:
        self._is_hushed = True
        if self._is_closed:
            return
        desk = self._desk
        up_s = desk.link.up_s(now_s, desk.user_id[self.i])
        if up_s > 0.0:
            Timeout(desk.env, up_s).callbacks.append(self._drop)
        else:
            self._drop()

    def _drop(self, _: Event | None = None) -> None:
        job = self.job
        assert job is not None
        if self._is_closed:
            return
        if job.place is None:
            self._is_dropped = True
        else:
            self._desk.engine.cancel(job)

    def on_first(self, at_s: float) -> None:
        """Send the first token down."""
        if self._is_hushed:
            return
        desk = self._desk
        link = desk.link
        if link.is_instant:
            self._server_speaks()
        else:
            arrives_s = at_s + link.down_s(at_s, desk.user_id[self.i])
            Timeout(desk.env, max(0.0, arrives_s - desk.env.now)).callbacks.append(self._server_speaks)

    def on_join(self) -> None:
        """Hear nothing: nobody waits for it."""

    def on_end(self, at_s: float) -> None:  # noqa: ARG002 - stands in the job
        """Close the bill of the server; whoever waits for that, or for the end of the answer, goes on."""
        self._is_closed = True
        if self._waits_for == CLOSE:
            self._desk.over.append(self)
        elif self._waits_for == END:
            wait_s = self._server_over_s() - self._desk.env.now
            if wait_s > 0.0:
                Timeout(self._desk.env, wait_s).callbacks.append(self._ended)
            else:
                self._desk.over.append(self)

    def _server_speaks(self, _: Event | None = None) -> None:
        if self.speaker:
            return
        desk = self._desk
        self.speaker, self.spoke_s = SERVER, desk.env.now
        if self.is_device_asked and desk.losers != "run_on":
            self._stop_device(desk.env.now)
        if self._is_closed:
            Timeout(desk.env, max(0.0, self._server_over_s() - desk.env.now)).callbacks.append(self._ended)
        else:
            self._waits_for = END

    def _server_over_s(self) -> float:
        assert self.job is not None
        return self._desk.last_arrival_s(self.job, self._desk.user_id[self.i])

    # --- the end ----------------------------------------------------------------------------------------------

    def _ended(self, _: Event) -> None:
        """Be over, unless the server has not obeyed yet: until it does, its bill grows."""
        if self.job is None or self._is_closed:
            self._desk.over.append(self)
        else:
            self._waits_for = CLOSE
