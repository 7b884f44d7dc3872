"""The scenario: frozen plain data that holds everything which decides a result, one section per file.

Each class is one ``kind:`` of one section of a YAML file. Ranges and meanings stand in the fields, so that the
config layer, the JSON Schema and the reference page are all read off this package.
"""

from discosim.core.scenario.answers import LABELS, Answers, LabelledAnswers, PickAccuracy, Quality, ShareOfAnswers
from discosim.core.scenario.closed_loop import (
    ClosedLoopArrivals,
    ConstantThink,
    ExponentialThink,
    LognormalThink,
    Think,
)
from discosim.core.scenario.device import ColdStart, Device, Throttle
from discosim.core.scenario.edge import EdgeLink, EdgePrices, EdgeTier, LanLink, LastHopLink
from discosim.core.scenario.engine import (
    Coefficients,
    ConstantIterations,
    DigestIterations,
    FileIterations,
    Iterations,
    PhysicsIterations,
    PluginIterations,
    Preemption,
    PrefillPool,
    Recompute,
    Scale,
    SchedulerSpec,
    Swap,
)
from discosim.core.scenario.inputs import Inputs
from discosim.core.scenario.link import ConstantLink, DigestLink, Link, NoLink
from discosim.core.scenario.outage import Outage
from discosim.core.scenario.prices import Cost, Prices
from discosim.core.scenario.reader import Reader
from discosim.core.scenario.root import PolicySpec, Scenario
from discosim.core.scenario.server import EngineServer, ReplayedServer, Server
from discosim.core.scenario.workload import (
    Arrivals,
    BurstArrivals,
    ClientArrivals,
    ConstantLengths,
    DigestArrivals,
    DigestLengths,
    FileLengths,
    GammaArrivals,
    GeneratedWorkload,
    Lengths,
    LognormalLengths,
    OpenArrivals,
    PoissonArrivals,
    ReplayedWorkload,
    Workload,
    is_closed_loop,
)

__all__ = [
    "LABELS",
    "Answers",
    "Arrivals",
    "BurstArrivals",
    "ClientArrivals",
    "ClosedLoopArrivals",
    "Coefficients",
    "ColdStart",
    "ConstantIterations",
    "ConstantLengths",
    "ConstantLink",
    "ConstantThink",
    "Cost",
    "Device",
    "DigestArrivals",
    "DigestIterations",
    "DigestLengths",
    "DigestLink",
    "EdgeLink",
    "EdgePrices",
    "EdgeTier",
    "EngineServer",
    "ExponentialThink",
    "FileIterations",
    "FileLengths",
    "GammaArrivals",
    "GeneratedWorkload",
    "Inputs",
    "Iterations",
    "LabelledAnswers",
    "LanLink",
    "LastHopLink",
    "Lengths",
    "Link",
    "LognormalLengths",
    "LognormalThink",
    "NoLink",
    "OpenArrivals",
    "Outage",
    "PhysicsIterations",
    "PickAccuracy",
    "PluginIterations",
    "PoissonArrivals",
    "PolicySpec",
    "Preemption",
    "PrefillPool",
    "Prices",
    "Quality",
    "Reader",
    "Recompute",
    "ReplayedServer",
    "ReplayedWorkload",
    "Scale",
    "Scenario",
    "SchedulerSpec",
    "Server",
    "ShareOfAnswers",
    "Swap",
    "Think",
    "Throttle",
    "Workload",
    "is_closed_loop",
]
