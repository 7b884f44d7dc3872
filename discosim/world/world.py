"""One replication under one policy: requests arrive, the policy serves them, records come out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.core.errors import InvariantError, UserError
from discosim.core.request import RequestRecord, RequestTable
from discosim.world.answers import AnswerModel, Answers
from discosim.world.api_server import ApiServer, ApiServerModel
from discosim.world.device import Device, DeviceProfile
from discosim.world.edge.model import EdgeModel
from discosim.world.edge.tier import EdgeTier
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.replica import Observer
from discosim.world.engine.server import EngineServer
from discosim.world.link import Link, LinkModel
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel
from discosim.world.serving import Serving
from discosim.world.session import Session

Floats = NDArray[np.float64]
ONE_KIND = AnswerModel()


class Serves(Protocol):
    """The part of a policy that the world needs."""

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        ...


@dataclass(frozen=True)
class WorldModel:
    """The parts of a world that do not change from replication to replication.

    Parameters
    ----------
    fleet : tuple of (DeviceProfile, float)
        Kinds of devices and their shares of the users; shares need not sum to one.
    server : ApiServerModel or EngineModel
        The service, seen from outside or from inside.
    link : LinkModel
        The last hop.
    meter : Meter
        Prices.
    edge : EdgeModel or None
        The edge tier; None for none.
    answers : AnswerModel
        The inner form of answers.
    quality : QualityModel or None
        How good answers are assumed to be; None where the scenario assumes nothing.
    """

    fleet: tuple[tuple[DeviceProfile, float], ...]
    server: ApiServerModel | EngineModel
    link: LinkModel
    meter: Meter
    edge: EdgeModel | None = None
    answers: AnswerModel = ONE_KIND
    quality: QualityModel | None = None


@dataclass(frozen=True)
class Columns:
    """The request table as lists, which are quicker to read one by one than arrays."""

    arrival_s: list[float]
    prompt_tok: list[int]
    output_tok: list[int]
    user_id: list[int]
    reader_tok_per_s: list[float]
    ttft_target_s: list[float]
    rejected: list[bool]
    prefix_hashes: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True)
class Draws:
    """The true draws of a replication, for policies that declare ``needs = {"oracle"}`` and for tests.

    Parameters
    ----------
    server_ttft_s, device_ttft_s : array of float, shape (n,)
        TTFT at the client if the request were sent to that endpoint alone on arrival, with an idle device; ``inf``
        where that endpoint would refuse it.
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths.
    rejected : array of bool, shape (n,)
        Requests no policy gets to see.
    arrival_s : array of float, shape (n,)
        Arrivals.
    user_id : array of int, shape (n,)
        Whose requests they are; each user has one device.
    profiles : tuple of DeviceProfile, length n
        The device of each request's user.
    """

    server_ttft_s: Floats
    device_ttft_s: Floats
    prompt_tok: NDArray[np.int64]
    output_tok: NDArray[np.int64]
    rejected: NDArray[np.bool_]
    arrival_s: Floats
    user_id: NDArray[np.int64]
    profiles: tuple[DeviceProfile, ...]


class World:
    """A SimPy world for one replication under one policy.

    Parameters
    ----------
    model : WorldModel
        The parts.
    requests : RequestTable
        Who asks what, when.
    luck : Luck
        Draws of this replication; share one object between policies to save the drawing.
    observer : Observer, optional
        Who writes down what a white-box server does.
    """

    def __init__(self, model: WorldModel, requests: RequestTable, luck: Luck, observer: Observer | None = None) -> None:
        self.model = model
        self.requests = requests
        self.luck = luck
        self.env = simpy.Environment()
        self.meter = model.meter
        self.columns = Columns(
            arrival_s=requests.arrival_s.tolist(),
            prompt_tok=requests.prompt_tok.tolist(),
            output_tok=requests.output_tok.tolist(),
            user_id=requests.user_id.tolist(),
            reader_tok_per_s=requests.reader_tok_per_s.tolist(),
            ttft_target_s=requests.ttft_target_s.tolist(),
            rejected=requests.rejected.tolist(),
            prefix_hashes=requests.prefix_hashes,
        )
        n_users = 1 + int(requests.user_id.max(initial=0))
        self.link = luck.shared("link", lambda streams: Link(model.link, n_users, streams))
        self.server: ApiServer | EngineServer
        if isinstance(model.server, EngineModel):
            self.server = EngineServer(self.env, model.server, self.link, self.columns, observer)
        else:
            self.server = ApiServer(self.env, model.server, self.link, luck)
        self.edge = None if model.edge is None else EdgeTier(self.env, model.edge, self.link, n_users, luck)
        self.answers = Answers(model.answers, luck)
        self._fleet_index = fleet_index(model.fleet, n_users, luck)
        self._devices: dict[int, Device] = {}
        self.n_arrived = 0

    def profile_of(self, user_id: int) -> DeviceProfile:
        """Return the device profile of a user."""
        return self.model.fleet[self._fleet_index[user_id]][0]

    def device_of(self, user_id: int) -> Device:
        """Return the device of a user."""
        device = self._devices.get(user_id)
        if device is None:
            device = self._devices[user_id] = Device(self.env, self.profile_of(user_id))
        return device

    @cached_property
    def draws(self) -> Draws:
        """The true draws; only the oracle and the tests may look.

        Raises
        ------
        UserError
            With a white-box server: what a request would meet there depends on what all others do.
        """
        if isinstance(self.server, EngineServer):
            raise UserError("a clairvoyant policy needs draws, which `server.kind: engine` has not", where="policies")
        table = self.requests
        device_s = np.empty(len(table))
        kinds = np.asarray(self._fleet_index)[table.user_id]
        for kind, (profile, _) in enumerate(self.model.fleet):
            mine = kinds == kind
            device_s[mine] = profile.prefill_array_s(table.prompt_tok[mine])
            if profile.max_context_tok is not None:
                device_s[mine & (table.prompt_tok > profile.max_context_tok)] = np.inf
        server_s = self.server.true_ttft_s(table.arrival_s, table.user_id, table.prompt_tok, table.output_tok)
        return Draws(
            server_ttft_s=server_s,
            device_ttft_s=device_s,
            prompt_tok=table.prompt_tok,
            output_tok=table.output_tok,
            rejected=table.rejected,
            arrival_s=table.arrival_s,
            user_id=table.user_id,
            profiles=tuple(self.profile_of(user) for user in self.columns.user_id),
        )

    def engine_figures(self) -> dict[str, float] | None:
        """Return what a white-box server did as a whole; None where the server is a black box."""
        return self.server.engine.figures() if isinstance(self.server, EngineServer) else None

    def edge_figures(self) -> dict[str, float] | None:
        """Return what the edge tier did as a whole; None where there is none."""
        return None if self.edge is None else self.edge.figures(self.env.now)

    def run(self, policy: Serves, sink: Callable[[RequestRecord], None]) -> None:
        """Let every request arrive and be served; ``sink`` gets each record when its request is over."""
        self.env.process(self._arrivals(policy, sink))
        self.env.run()

    def _arrivals(self, policy: Serves, sink: Callable[[RequestRecord], None]) -> Generator[Event, Any, None]:
        env, arrival_s, rejected = self.env, self.columns.arrival_s, self.columns.rejected
        is_known = isinstance(self.server, ApiServer) and self.edge is None
        serve = self._serve if is_known else self._serve_until_closed
        for i, at_s in enumerate(arrival_s):
            if at_s > env.now:
                yield Timeout(env, at_s - env.now)
            self.n_arrived += 1
            session = Session(self, i)
            if rejected[i]:
                sink(session.reject())
            else:
                Serving(serve(policy, session, sink))

    @staticmethod
    def _serve(policy: Serves, session: Session, sink: Callable[[RequestRecord], None]) -> Generator[Any, Any, None]:
        yield from _steps(policy.serve(session))
        sink(session.settle())

    @staticmethod
    def _serve_until_closed(
        policy: Serves, session: Session, sink: Callable[[RequestRecord], None]
    ) -> Generator[Any, Any, None]:
        """Serve, and wait for streams that were told to stop: until they do, their bill grows."""
        yield from _steps(policy.serve(session))
        for stream in session.growing_streams():
            if not stream.is_closed:
                yield stream.closed()
        sink(session.settle())


def _steps(served: Generator[Any, Any, None] | None) -> Generator[Any, Any, None]:
    if served is None:
        raise InvariantError("serve of a policy must be a generator, which yields what it waits for")
    return served


def fleet_index(fleet: Sequence[tuple[DeviceProfile, float]], n_users: int, luck: Luck) -> list[int]:
    """Give every user a device kind, drawn by the shares from the stream ``fleet``."""
    if len(fleet) == 1:
        return [0] * n_users
    shares = np.array([share for _, share in fleet])
    edges = np.cumsum(shares / shares.sum())[:-1]
    draws = luck.streams.generator("fleet").random(n_users)
    return [int(k) for k in np.searchsorted(edges, draws, side="right")]
