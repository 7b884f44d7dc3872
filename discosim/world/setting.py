"""What a session sees of its world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import simpy

from discosim.world.answers import Answers
from discosim.world.endpoint import Endpoint, Role
from discosim.world.fleet import Fleet
from discosim.world.joint import Judge
from discosim.world.link import Link
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel


@dataclass(slots=True)
class Setting:
    """The parts of a world that its sessions share.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    link : Link
        The last hop.
    luck : Luck
        Draws of the replication.
    answers : Answers
        What answers are like.
    meter : Meter
        Prices, and what a joule is worth.
    quality : QualityModel or None
        How good answers are assumed to be.
    fleet : Fleet
        The users' devices.
    endpoints : mapping of str to Endpoint
        Who can be asked, by name, in the order of the scenario; the fleet is one of them.
    roles : mapping of str to str
        Of endpoints that are not named by their role, the role; where there are any, bills are itemised by name.
    judge : Judge or None
        Which models would answer a request right; None where nobody knows.
    """

    env: simpy.Environment
    link: Link
    luck: Luck
    answers: Answers
    meter: Meter
    quality: QualityModel | None
    fleet: Fleet
    endpoints: Mapping[str, Endpoint]
    roles: Mapping[str, Role]
    judge: Judge | None = None
