"""The whole: everything that decides a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from discosim.core.scenario.answers import Answers, Quality, ShareOfAnswers
from discosim.core.scenario.device import Device
from discosim.core.scenario.edge import EdgeTier
from discosim.core.scenario.inputs import Inputs
from discosim.core.scenario.link import Link, NoLink
from discosim.core.scenario.prices import Cost
from discosim.core.scenario.reader import Reader
from discosim.core.scenario.server import Server
from discosim.core.scenario.workload import Workload
from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """One policy of a scenario: which kind, under which name, with which options."""

    kind: str
    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything that decides a result; running it twice gives the same bytes."""

    name: str = spec(doc="Name of the run; the default output folder is results/<name>.", min_length=1)
    seed: int = spec(1, doc="Root seed.", ge=0)
    replications: int = spec(20, doc="Independent repetitions; the sample of every interval.", ge=1)
    workload: Workload = spec(doc="Who asks what, when.", discriminator="kind")
    devices: tuple[Device, ...] = spec(doc="The fleet.", min_length=1)
    server: Server = spec(doc="The service.", discriminator="kind")
    services: Mapping[str, Server] = spec(
        dict,
        doc="Further services by the names under which policies ask for them, each with the keys of `server`.",
        discriminator="kind",
        since="0.2",
    )
    link: Link = spec(NoLink, doc="The last hop between client and server.", discriminator="kind")
    edge: EdgeTier | None = spec(None, doc="Edge boxes between device and server; null for none.")
    answers: Answers = spec(
        ShareOfAnswers, doc="The inner form of answers, for policies that write them in parts.", discriminator="kind"
    )
    quality: Quality | None = spec(
        None,
        doc="How good answers are: assumed (reported as `quality_assumed`) or measured (`accuracy`); null for neither.",
        discriminator="kind",
    )
    reader: Reader = spec(Reader, doc="The reader.")
    cost: Cost = spec(doc="Exchange rate.")
    inputs: Inputs = spec(Inputs, doc="What few rows of the measured inputs leave open.", since="0.2")
    policies: tuple[PolicySpec, ...] = spec(doc="Policies to compare, on the same luck.", min_length=1)
    baseline: str | None = spec(None, doc="Name of the policy the others are compared with; null is the first.")
    kernel: Literal["auto", "simpy"] = spec(
        "auto",
        doc="Who computes it: `auto` takes many requests at once where that changes no bit, `simpy` never does.",
        since="0.2",
    )
