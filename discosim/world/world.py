"""One replication under one policy: requests arrive, the policy serves them, records come out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.core.errors import InvariantError, UserError
from discosim.core.request import RequestRecord, RequestTable
from discosim.world.answers import AnswerModel, Answers
from discosim.world.arrivals import stops
from discosim.world.cards import Card, cards_of
from discosim.world.device_profile import DeviceProfile
from discosim.world.endpoint import Endpoint, EndpointModel, Observer, Site
from discosim.world.fleet import Fleet
from discosim.world.joint import JointModel, Judge
from discosim.world.link import Link, LinkModel
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.noise import NONE, Noise
from discosim.world.quality import QualityModel
from discosim.world.serving import Serving
from discosim.world.session import Session
from discosim.world.setting import Setting
from discosim.world.users import Answered, Users

Floats = NDArray[np.float64]
Sink = Callable[[RequestRecord], None]
ONE_KIND = AnswerModel()


class Serves(Protocol):
    """The part of a policy that the world needs."""

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        ...


@dataclass(frozen=True)
class Service:
    """A service beside the one called ``server``.

    Parameters
    ----------
    model : EndpointModel
        The service, seen from outside or from inside.
    meter : Meter
        Its prices.
    link : LinkModel
        The last hop as it counts for this service, whose TTFT may contain part of the way already.
    """

    model: EndpointModel
    meter: Meter
    link: LinkModel


@dataclass(frozen=True)
class WorldModel:
    """The parts of a world that do not change from replication to replication.

    Parameters
    ----------
    fleet : tuple of (DeviceProfile, float)
        Kinds of devices and their shares of the users; shares need not sum to one.
    server : EndpointModel
        The service, seen from outside or from inside.
    link : LinkModel
        The last hop.
    meter : Meter
        Prices.
    edge : EndpointModel or None
        The edge tier; None for none.
    answers : AnswerModel
        The inner form of answers.
    quality : QualityModel or None
        How good answers are assumed to be; None where the scenario assumes nothing.
    services : mapping of str to Service
        Further services, by the names under which policies ask for them.
    joint : JointModel or None
        Which models are right how often; None where nobody knows.
    """

    fleet: tuple[tuple[DeviceProfile, float], ...]
    server: EndpointModel
    link: LinkModel
    meter: Meter
    edge: EndpointModel | None = None
    answers: AnswerModel = ONE_KIND
    quality: QualityModel | None = None
    services: Mapping[str, Service] = field(default_factory=dict)
    joint: JointModel | None = None

    @property
    def meters(self) -> dict[str, Meter]:
        """Prices of every service by name, where there is more than one."""
        if not self.services:
            return {}
        return {"server": self.meter, **{name: service.meter for name, service in self.services.items()}}


@dataclass(frozen=True)
class Draws:
    """The true draws of a replication, for policies that declare ``needs = {"oracle"}`` and for tests.

    Parameters
    ----------
    server_ttft_s, device_ttft_s : array of float, shape (n,)
        TTFT at the client if the request were sent to that endpoint alone on arrival, with an idle and cool device;
        ``inf`` where that endpoint would refuse it.
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
    device_noise : sequence of Noise, length n, or None
        What each request meets beside its device's line; None where nobody meets anything.
    """

    server_ttft_s: Floats
    device_ttft_s: Floats
    prompt_tok: NDArray[np.int64]
    output_tok: NDArray[np.int64]
    rejected: NDArray[np.bool_]
    arrival_s: Floats
    user_id: NDArray[np.int64]
    profiles: tuple[DeviceProfile, ...]
    device_noise: Sequence[Noise] | None = None

    def noise_of(self, i: int) -> Noise:
        """Return what request ``i`` meets beside its device's line."""
        return NONE if self.device_noise is None else self.device_noise[i]


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
        n_users = 1 + int(requests.user_id.max(initial=0))
        self.link = self._link(model.link, n_users, "link")
        site = Site(self.env, self.link, luck, n_users, model.meter, observer)
        self.fleet = Fleet(self.env, model.fleet, n_users, luck, requests.user_id)
        self.server = model.server.open("server", site)
        self.edge = None if model.edge is None else model.edge.open("edge", site)
        self.answers = Answers(model.answers, luck)
        opened: list[Endpoint] = [self.fleet, self.server, *self._services(site)]
        if self.edge is not None:
            opened.append(self.edge)
        self.setting = Setting(
            env=self.env,
            link=self.link,
            luck=luck,
            answers=self.answers,
            meter=model.meter,
            quality=model.quality,
            fleet=self.fleet,
            endpoints={endpoint.name: endpoint for endpoint in opened},
            roles={endpoint.name: endpoint.role for endpoint in opened if endpoint.name != endpoint.role},
            judge=None if model.joint is None else Judge(model.joint, luck),
        )
        self.n_arrived = 0

    def _services(self, site: Site) -> list[Endpoint]:
        """Open the further services; nobody writes down what they do."""
        opened = []
        for name, service in self.model.services.items():
            link = (
                self.link if service.link == self.model.link else self._link(service.link, site.n_users, f"link.{name}")
            )
            opened.append(service.model.open(name, replace(site, link=link, meter=service.meter, observer=None)))
        return opened

    def _link(self, model: LinkModel, n_users: int, name: str) -> Link:
        """Return a last hop; all are drawn from the same streams, so that at one moment they are equally good."""
        return self.luck.shared(name, lambda streams: Link(model, n_users, streams))

    def profile_of(self, user_id: int) -> DeviceProfile:
        """Return the device profile of a user."""
        return self.fleet.profile_of(user_id)

    @cached_property
    def draws(self) -> Draws:
        """The true draws; only the oracle and the tests may look.

        Raises
        ------
        UserError
            With a white-box server: what a request would meet there depends on what all others do. In a closed loop:
            when a request arrives depends on the answers before it.
        """
        table = self.requests
        if table.loop is not None:
            raise UserError(
                "a clairvoyant policy needs arrivals that are known beforehand; in a closed loop "
                "(workload.arrivals.kind) they depend on the answers",
                where="policies",
            )
        server_s = self.server.foreseen_ttft_s(table)
        if server_s is None:
            raise UserError(
                "a clairvoyant policy needs draws, which `server.kind: engine` has not, nor a replayed service with "
                "`capacity`, `rate_limit` or `quota`",
                where="policies",
            )
        return Draws(
            server_ttft_s=server_s,
            device_ttft_s=self.fleet.foreseen_ttft_s(table),
            prompt_tok=table.prompt_tok,
            output_tok=table.output_tok,
            rejected=table.rejected,
            arrival_s=table.arrival_s,
            user_id=table.user_id,
            profiles=tuple(self.profile_of(user) for user in table.user_id.tolist()),
            device_noise=self.fleet.foreseen_noise(table),
        )

    def engine_figures(self) -> dict[str, float] | None:
        """Return what a white-box server did as a whole; None where the server is a black box."""
        return self.server.figures(self.env.now)

    def edge_figures(self) -> dict[str, float] | None:
        """Return what the edge tier did as a whole; None where there is none."""
        return None if self.edge is None else self.edge.figures(self.env.now)

    def run(self, policy: Serves, sink: Sink, only: NDArray[np.bool_] | None = None) -> None:
        """Let requests arrive and be served; ``sink`` gets each record when its request is over.

        Parameters
        ----------
        policy : Serves
            Who serves.
        sink : callable
            Who gets the records.
        only : array of bool, shape (n,), optional
            The requests that are served; the others come and are not noticed, so that the clock runs as it does with
            them. Not in a closed loop.
        """
        loop = self.requests.loop
        if loop is None:
            arrivals = self._arrivals(policy, sink) if only is None else self._some_arrivals(policy, sink, only)
            self.env.process(arrivals)
        else:
            Users(self.env, self.requests, loop, partial(self._receive, policy, sink)).begin()
        self.env.run()

    def _arrivals(self, policy: Serves, sink: Sink) -> Generator[Event, Any, None]:
        env = self.env
        for card, is_rejected in zip(cards_of(self.requests), self.requests.rejected.tolist(), strict=True):
            at_s = card.arrival_s
            if at_s > env.now:
                yield Timeout(env, at_s - env.now)
            self._receive(policy, sink, card, is_rejected)

    def _some_arrivals(self, policy: Serves, sink: Sink, only: NDArray[np.bool_]) -> Generator[Event, Any, None]:
        cards = dict(zip(np.flatnonzero(only).tolist(), cards_of(self.requests, only), strict=True))
        for stop in stops(self.env, self.requests.arrival_s, only):
            if isinstance(stop, Timeout):
                yield stop
            else:
                self._receive(policy, sink, cards[stop], bool(self.requests.rejected[stop]))

    def _receive(
        self, policy: Serves, sink: Sink, card: Card, is_rejected: bool, answered: Answered | None = None
    ) -> None:
        """Begin with a request; ``answered`` is called when its answer has ended at the client, or it has failed."""
        self.n_arrived += 1
        session = Session(self.setting, card)
        if not is_rejected:
            Serving(_serve(policy, session, sink, answered))
            return
        sink(session.reject())
        if answered is not None:
            answered()


def _serve(policy: Serves, session: Session, sink: Sink, answered: Answered | None = None) -> Generator[Any, Any, None]:
    """Serve, and wait for streams that were told to stop: until they do, their bill grows."""
    served = policy.serve(session)
    if served is None:
        raise InvariantError("serve of a policy must be a generator, which yields what it waits for")
    yield from served
    if answered is not None:
        yield session.over()
        answered()
    for stream in session.streams:
        if not stream.is_closed:
            yield stream.closed()
    sink(session.settle())
