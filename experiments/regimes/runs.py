"""One cell of the map, simulated: what every setting gave each request."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from discosim import load_scenario, simulate

from .axes import World
from .service import write_service

Floats = NDArray[np.float64]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Requests:
    """What one setting gave, request by request, in the same order under every setting.

    Parameters
    ----------
    ttft_s, qoe, spend_usd : array of float, shape (n,)
        Time to the first token, quality of experience, and dollars with joules at their price.
    """

    ttft_s: Floats
    qoe: Floats
    spend_usd: Floats


@dataclass(frozen=True)
class Played:
    """A cell: replication of each request, and what each setting gave."""

    replication: NDArray[np.int64]
    by: Mapping[str, Requests]


def overrides_of(world: World, file: Path) -> list[str]:
    """Return what the axes change in base.yaml, with the service in ``file``."""
    return [
        f"workload.lengths.prompt_median_tok={world.prompt_median_tok!r}",
        f"workload.lengths.prompt_sigma={world.prompt_sigma!r}",
        f"devices[0].prefill_tok_per_s={world.prefill_tok_per_s!r}",
        f"devices[0].decode_tok_per_s={world.decode_tok_per_s!r}",
        "server.digest=null",
        f"server.digest_file={file}",
        f"link.rtt_s={world.rtt_s!r}",
        f"cost.exchange_rate_usd_per_j={world.usd_per_j!r}",
    ]


def scenario_of(world: World, file: Path, policies: Sequence[str], more: Sequence[str] = ()) -> Any:
    """Write the service to ``file`` and return the scenario of a cell."""
    write_service(file, world.service_median_s, world.service_tail)
    chosen = f"policies=[{', '.join(policies)}]"
    return load_scenario(HERE / "base.yaml", overrides=[*overrides_of(world, file), chosen, *more])


def play(world: World, runs: Mapping[str, str], more: Sequence[str] = ()) -> Played:
    """Simulate a cell under every setting.

    Parameters
    ----------
    world : World
        The cell.
    runs : mapping of str to str
        Name of a setting -> policy of a scenario, of that name; `server_only` among them.
    more : sequence of str
        Further overrides.
    """
    with tempfile.TemporaryDirectory() as folder:
        scenario = scenario_of(world, Path(folder) / "service.json", list(runs.values()), more)
        requests = simulate(scenario).requests
    requests = requests[requests["status"] != "rejected"]
    first = requests[requests["policy"] == "server_only"].sort_values(["replication", "request_id"])
    return Played(first["replication"].to_numpy(), requests_of(requests))


def requests_of(requests: pd.DataFrame) -> dict[str, Requests]:
    """Return what each policy gave, request by request, from rows of requests.parquet."""
    rows = requests.sort_values(["policy", "replication", "request_id"])
    return {
        str(name): Requests(*(part[column].to_numpy(float) for column in ("ttft_s", "qoe_andes", "unified_cost_usd")))
        for name, part in rows.groupby("policy", sort=False, observed=True)
    }
