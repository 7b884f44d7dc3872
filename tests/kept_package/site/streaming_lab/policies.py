"""Policies with the common verbs.

Kept as it is: part of a package of somebody else, written against the documentation of version 0.1. Never edit it.

Whoever wrote such a package does not follow our moves. If it no longer runs, what moved has to be made good, or be said
to break other packages; the test beside it also compares the bytes of these files.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from discosim import Policy
from discosim.core.spec import spec


@dataclass(kw_only=True)
class Patient(Policy):
    """Wake the device when the service keeps the reader waiting."""

    kind: ClassVar[str] = "lab_patient"
    paper: ClassVar[str] = "Our choice: hedged requests after a fixed delay."
    departures: ClassVar[str] = "None known."

    patience_s: float = spec(1.0, doc="Silence after which the device starts.", unit="s", ge=0)

    def serve(self, session):
        server = session.start("server")
        winner = yield session.first_token_of(server, within_s=self.patience_s)
        if winner is None:  # silent so far, or refused
            device = session.start("device")
            winner = yield session.first_token_of(server, device)
        if winner is None:  # nobody can answer
            session.fail()
            return
        session.keep(winner, losers="finish_prefill")
        yield session.finished()


@dataclass(kw_only=True)
class Spender(Patient):
    """Learn the patience from the past, promise a budget, and say how often it helped."""

    kind: ClassVar[str] = "lab_spender"

    share: float = spec(0.2, doc="Share of requests for which the device may wake.", ge=0, le=1)
    constraint: str = spec("device", doc="Which endpoint the budget limits.")
    budget: float = spec(0.1, doc="Share of prompt tokens that it may process.", ge=0, le=1)
    patience_s: float = field(init=False, default=0.0)

    def prepare(self, view):
        self.patience_s = view.server_ttft_quantile_s(1 - self.share)

    def tally(self, columns):
        woken = columns["is_device_dispatched"]
        return {"woken": woken.sum(), "won": (woken & (columns["first_endpoint"] == "device")).sum()}

    def remarks(self, tally):
        return [f"the device was faster in {tally['won']} of {tally['woken']} cases in which it woke"]


@dataclass(kw_only=True)
class Relay(Policy):
    """Let the service begin and the device finish, for some requests and not at once."""

    kind: ClassVar[str] = "lab_relay"
    paper: ClassVar[str] = "Our choice."
    departures: ClassVar[str] = "None known."

    share: float = spec(0.7, doc="Share of the answers that change hands.", ge=0, le=1)

    def serve(self, session):
        yield session.wait(0.01 * min(session.prompt_tok, 100))
        server = session.start("server")
        if (yield session.first_token_of(server)) is None:
            session.fail()
            return
        session.keep(server)
        if session.coin() < self.share and not session.is_device_busy:
            enough = 2.0 * session.reader_tok_per_s
            token = yield session.buffer_reaches(lambda first, n: np.full(n, enough))
            if token is not None:
                device = session.start("device", after_token=token)
                session.hand_over(device)
                yield session.first_token_of(device)
        yield session.finished()


@dataclass(kw_only=True)
class Steady(Policy):
    """Ask the service, and show its tokens at an even pace."""

    kind: ClassVar[str] = "lab_steady"
    paper: ClassVar[str] = "Our choice."
    departures: ClassVar[str] = "None known."

    tok_per_s: float = spec(6.0, doc="Pace of the screen.", unit="tok/s", gt=0)

    def serve(self, session):
        server = session.start("server")
        if (yield session.first_token_of(server)) is None:
            session.fail()
            return
        session.keep(server)
        session.pace(self.shown_s)
        yield session.finished()

    def shown_s(self, arrival_s, n_before_hand_over):
        steps = np.arange(arrival_s.size) / self.tok_per_s
        return np.maximum.accumulate(arrival_s - steps) + steps


class Clairvoyant(Policy):
    """Ask whichever endpoint will be faster."""

    kind: ClassVar[str] = "lab_clairvoyant"
    paper: ClassVar[str] = "Our choice."
    departures: ClassVar[str] = "None known."
    needs: ClassVar = frozenset({"oracle"})

    def prepare(self, view):
        self.prefers_device = view.draws.device_ttft_s < view.draws.server_ttft_s

    def serve(self, session):
        stream = session.start("device" if self.prefers_device[session.request_id] else "server")
        winner = yield session.first_token_of(stream)
        if winner is None:
            session.fail()
            return
        session.keep(winner)
        yield session.finished()
