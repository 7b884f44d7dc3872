"""ServeGen's client view of DeepSeek-R1 on Alibaba Cloud, condensed to one renewal process per client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from discosim.core.empirical import QuantileTable
from discosim.traces.digest import Card, Client, ClientDigest, LengthGroup
from discosim.traces.readers import servegen
from discosim.traces.readers.base import ClientWindows
from discosim.traces.recipes import measure
from discosim.traces.recipes.measure import Floats
from discosim.traces.recipes.recipe import Recipe

NAME = "servegen-deepseek-r1"
HOURS = 24
LENGTH_WINDOW_S = 6 * 3600.0
PSEUDO_SAMPLE = 100_000
_GROUPS = (
    ("the largest client", 0, 1),
    ("clients 2 to 5 by requests", 1, 5),
    ("clients 6 to 20 by requests", 5, 20),
    ("all other clients", 20, None),
)


def _build(path: Path, sha256: str) -> ClientDigest:
    table = servegen.read(path)
    busy = [client for client in table.clients if client.rate_per_s.sum() > 0]
    ranked = sorted(busy, key=lambda client: -float(client.rate_per_s.sum()))
    total = sum(float(client.rate_per_s.sum()) for client in ranked)
    groups = [_length_group(title, ranked[first:last], total) for title, first, last in _GROUPS]
    clients = tuple(_client(client, total, _group_of(rank)) for rank, client in enumerate(ranked))
    hourly = np.sum([client.hourly_rate_per_s for client in clients], axis=0)
    shares = np.array([client.share for client in clients])
    card = Card(
        title="DeepSeek-R1 on Alibaba Cloud Model Studio, one day, client by client",
        origin="https://github.com/alibaba/ServeGen/tree/main/data/reason/deepseek-r1",
        commit="f891d1189eb32b3868dfc443800c4150548c282a",
        licence="Apache-2.0",
        citation=("Xiang et al., ServeGen: Workload Characterization and Generation of LLM Serving, arXiv 2505.09999"),
        raw_file="deepseek-r1.tar (chunk-*-trace.csv and chunk-*-dataset.json, unchanged)",
        raw_sha256=sha256,
        method=(
            "per client: means of the 600 s window rates in each hour; CV of the gaps, mean over windows "
            "weighted by rate; family of the gap law, the fitted one that carries more requests; lengths: "
            "published histograms weighted by the requests of their 6 h window, pooled over groups of "
            "clients"
        ),
        quirks=(
            "Statistics of API customers, not of users: one client may serve thousands of people.",
            "Absolute rates may have been scaled by the publishers.",
            "Prompt and output lengths are published apart: their dependence within a group is not known.",
            "A client's CV changes over the day; one mean is kept.",
        ),
    )
    return ClientDigest(
        name=NAME,
        card=card,
        clients=clients,
        length_groups=tuple(groups),
        moments={
            "rate_mean_per_s": float(hourly.mean()),
            "rate_hour_min_per_s": float(hourly.min()),
            "rate_hour_max_per_s": float(hourly.max()),
            "share_of_top_5": float(shares[:5].sum()),
            "prompt_mean": float(sum(g.share * g.prompt.mean() for g in groups)),
            "output_mean": float(sum(g.share * g.output.mean() for g in groups)),
        },
    )


def _group_of(rank: int) -> int:
    return next(i for i, (_, _, last) in enumerate(_GROUPS) if last is None or rank < last)


def _client(client: ClientWindows, total: float, group: int) -> Client:
    rate = client.rate_per_s
    hour = np.minimum((client.window_start_s // 3600).astype(np.int64), HOURS - 1)
    hourly = np.bincount(hour, weights=rate, minlength=HOURS) / np.bincount(hour, minlength=HOURS)
    known = (client.cv > 0) & (rate > 0)
    cv = float(np.average(client.cv[known], weights=rate[known])) if known.any() else 1.0
    weibull = float(rate[client.pattern == "Weibull"].sum())
    gamma = float(rate[client.pattern == "Gamma"].sum())
    return Client(
        share=float(rate.sum()) / total,
        hourly_rate_per_s=tuple(float(r) for r in hourly),
        family="weibull" if weibull > gamma else "gamma",
        cv=cv,
        group=group,
    )


def _length_group(title: str, clients: Sequence[ClientWindows], total: float) -> LengthGroup:
    return LengthGroup(
        title=title,
        share=sum(float(client.rate_per_s.sum()) for client in clients) / total,
        prompt=_pooled(clients, "input_tokens"),
        output=_pooled(clients, "output_tokens"),
    )


def _pooled(clients: Sequence[ClientWindows], quantity: str) -> QuantileTable:
    """Pool published histograms, each weighted by the requests of its window."""
    values, weights = [], []
    for client in clients:
        for start_s, pdf in client.lengths.get(quantity, {}).items():
            inside = (client.window_start_s >= start_s) & (client.window_start_s < start_s + LENGTH_WINDOW_S)
            mass = pdf.weights.sum()
            if mass > 0:
                values.append(pdf.values)
                weights.append(pdf.weights / mass * float(client.rate_per_s[inside].sum()))
    return measure.tabulate(_equivalent_sample(np.concatenate(values), np.concatenate(weights)))


def _equivalent_sample(values: Floats, weights: Floats) -> Floats:
    """Return 100,000 values at equal steps of probability, which stand for the weighted histogram."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = (np.arange(PSEUDO_SAMPLE) + 0.5) / PSEUDO_SAMPLE * reached[-1]
    sample: Floats = values[order][np.searchsorted(reached, at)]
    return sample


RECIPES = (Recipe(NAME, "clients", "servegen-alibaba/deepseek-r1.tar.xz", _build),)
