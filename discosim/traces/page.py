"""The page ``docs/traces.md``: tables of all shipped digests, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable

from discosim.traces.catalogue import list_digests, load_digest
from discosim.traces.describe import COLUMNS, cells, status_of
from discosim.traces.digest import Card
from discosim.traces.kinds import Digest

_TITLES = {
    "workload": "Workloads",
    "clients": "Client-level workloads",
    "latency": "Server latencies",
    "rtt": "Last hops",
    "device": "Devices",
    "engine": "Engines",
    "chunks": "Chunks of streams",
    "quality": "Joint quality",
}


def traces_page() -> str:
    """Return the text of ``docs/traces.md``: the tables of all shipped digests, and where they come from."""
    parts = [_INTRODUCTION]
    for kind, title in _TITLES.items():
        digests = [load_digest(entry.name) for entry in list_digests(kind)]
        parts.append(f"## {title}\n\n{_KIND_NOTES[kind]}\n\n{_table(kind, digests)}")
    parts.append(f"## Sources\n\n{_sources(load_digest(entry.name) for entry in list_digests())}")
    return "\n\n".join(parts) + "\n"


def _table(kind: str, digests: Iterable[Digest]) -> str:
    head = ("name", *COLUMNS[kind])
    rows = [(f"`{d.name}`", *cells(d), d.card.licence, status_of(d)) for d in digests]
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _sources(digests: Iterable[Digest]) -> str:
    by_source: dict[tuple[str, str, str, str], list[str]] = {}
    for digest in digests:
        by_source.setdefault(_source_key(digest.card), []).append(digest.name)
    lines = [
        f"- {', '.join(f'`{name}`' for name in names)}: {citation}."
        + (f" <{origin}>" if origin else "")
        + (f" at {commit[:12]}." if commit else "")
        + f" Licence: {licence}."
        for (citation, licence, commit, origin), names in by_source.items()
    ]
    return "\n".join(lines)


def _source_key(card: Card) -> tuple[str, str, str, str]:
    """Return citation, licence, commit, and the repository (not the single file) of a card."""
    repository = "/".join(card.origin.split("/")[:5])
    return card.citation, card.licence, card.commit, repository


_INTRODUCTION = """# Traces and digests

Raw third-party rows are not in this repository. What ships is a *digest* of each trace: quantile
tables, moments, lag-1 autocorrelation, and counts in rank bins, computed by this package from the raw
files. Each digest is one JSON file under `traces/<kind>/` with a card: origin, commit, licence,
citation, sha256 of the raw file, method, quirks. `discosim traces list` names them, `discosim traces
show NAME` prints one. This page is generated from the cards by `discosim.traces.page.traces_page`.

`discosim traces digest NAME --out DIR` computes a digest again from the raw files in the folder that
`DISCOSIM_TRACES` names; the result is the same bytes. The folder holds one sub-folder per data set, as
the recipes in `discosim/traces/recipes/` name them.

`discosim traces convert IN OUT --to mooncake|vidur|splitwise|blis|native` writes a trace file, or the workload of
a configuration, in the format of another simulator; see [Bring your own
trace](how-to/bring-your-own-trace.md#the-other-way-for-another-simulator).

## How to read them

- **Status.** `measured`: computed from raw data. `published-figure`: a number quoted from its source.
  `recollection`: remembered from a paper, not checked. `assumption`: ours, with the reason beside it.
  Where statuses are mixed the card says which field has which.
- **Quantiles.** From 1 % to 99 % every percent is an exact knot; further knots outside keep mean and
  variance. From small samples (19 to 22 probes, 20 requests) the tails are unknown, whatever the table
  says.
- **Autocorrelation.** Values are drawn through a latent Gaussian AR(1) process whose correlation is
  chosen so that the values have the measured Pearson lag-1 autocorrelation; below 0.02 in size it
  counts as none. Longer memory is not kept.
- **What a latency contains.** A TTFT measured from a client contains the service's inference and
  queueing and the wide-area path; a round trip contains the access link and sometimes the wide-area
  path too. The card's `contains` says so, and the simulator takes the overlap out once.
- **Energy.** Eight pairs of a phone and a model have joules per prompt token and per decoded token
  measured apart (LLM-Profiler, from the battery, the whole phone with its screen; `-aecs` is the same
  pair under the authors' energy-aware engine). A prompt token costs a median of 5.3 times less than a
  decoded one, 2.9 to 16 times in single runs. Where a power or an energy was published for a device, it is
  used. Else energies are assumed from those runs: 0.214 J per decoded token and billion parameters
  (single runs 0.091 to 0.31), and a prompt token for 1/5.27 of that. These runs were on CPUs, with 1.24
  and 1.54 billion parameters, so phones with an NPU and larger models may lie outside. A profile with
  assumed energies keeps the range (`energy_range`), and a run says which orders of policies change inside
  it; `decode_j_per_tok_per_b` and `decode_over_prefill` of a device run any other point. The three phones
  of DiSCo keep that paper's model, 0.1 J per token and billion parameters for prompt and decoded token
  alike (secondary source), which no measured phone bears out; their range is the measured one too. All of
  this is tagged, and a scenario can replace both numbers. Joules are of computing alone: what screen and
  radio take while a phone waits for a service or receives from it counts only where a device of the
  scenario says so (`waiting`), and leaving it out favours policies that lean on the service. For scale: a
  bracket of 0.3 to 1 W above idle while waiting (our assumption), and 2.58 W for a whole phone that
  receives 1 Mbit/s over LTE, base not subtracted (published figure).

## Licences

A digest carries the licence of its data. The Starlink digests are CC BY-SA 4.0, the `5g-*`, `lte-*`,
`phone-4g` and `wifi-fibre` digests GPL-3.0: passing them on, or tables derived from them, is bound to
those terms. Delete these files from `traces/rtt/` where that is unwanted; nothing else needs them but
scenarios that name them. `facts-only` (no SPDX identifier) marks single published figures quoted from
sources without a data licence. Attributions stand in `NOTICE`."""

_KIND_NOTES = {
    "workload": (
        "Gap law, slow rate profile, and joint prompt and output lengths of a service. The arrivals are\n"
        "those of a whole service: scale them with `rate_per_s`."
    ),
    "clients": "One renewal process per API customer, with hourly rates, and lengths by group of customers.",
    "latency": (
        "TTFT and TPOT = (end-to-end - TTFT) / (tokens - 1) as a client saw them. All contain\n"
        "inference, queueing and the wide-area path from the measuring client."
    ),
    "rtt": "Round trips; lost probes are left out of the quantiles and counted.",
    "device": (
        "Prefill of n tokens takes the fixed time plus n over the prefill rate; n is first rounded up\n"
        "to whole chunks where a chunk is given."
    ),
    "engine": (
        "Iteration times of one replica, as DistServe's three fitted lines, as Splitwise's measured\n"
        "curves or as coefficients of what a GPU does, and the size of the KV cache. The columns show\n"
        "what the digest gives for one prompt, for decoding alone and for a decode batch of 64, each\n"
        "with 1,000 tokens of context."
    ),
    "chunks": (
        "How many tokens of a stream come together, and how long the next ones take, over the stream's mean\n"
        "time per token. Stalls are in the gaps. `server.chunks` lets a replayed service send like that; its\n"
        "TTFT and time per token stay those of its own digest."
    ),
    "quality": (
        "Which of two models answers a question right, counted on the same questions. `quality: {kind: joint}`\n"
        "draws it for every request, the weak model writing on devices, the strong one at the server."
    ),
}
