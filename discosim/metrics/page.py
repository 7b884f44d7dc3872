"""docs/metrics.md, generated from the definitions."""

from __future__ import annotations

from collections.abc import Sequence

from discosim.metrics.contrast import TRAPS, VOCABULARY
from discosim.metrics.definitions import (
    REQUEST_METRICS,
    STREAMING_METRICS,
    SUMMARY_METRICS,
    TARGET_METRICS,
    TOKEN_METRICS,
    MetricDefinition,
)
from discosim.metrics.endpoints import ENDPOINT_FIELDS

_HEAD = """\
# Metrics

<!-- Generated from discosim/metrics; to renew:
python -c "from discosim.metrics.page import metrics_page; print(metrics_page(), end='')" > docs/metrics.md
-->

Every column of the result files and every number of a summary, with its unit and its formula. The same
text stands in the metadata of the Parquet fields and is printed by `discosim explain metric NAME`.

## Symbols

Times are seconds since the arrival of the request, tokens count from i = 1 to n.

| Symbol | Meaning |
|---|---|
| G_i | token i is generated at its endpoint |
| A_i | token i arrives at the client |
| D_i | the reader consumes token i: D_1 = A_1, D_i = max(A_i, D_{i-1} + 1/r) |
| S_i | token i appears on the screen: D_i with the pacer, A_i without, or what a policy's own pacer says |
| r | rate of the reader |
| tau | TTFT that the reader expects |
| T_i | ideal line: tau + (i - 1)/r |
| n_served | n_finished + n_failed |

## Rules

- A gap (TBT) is the time between successive tokens at the client. Names with `generated` stop the clock at
  the endpoint, names with `displayed` on the screen.
- The reader reads at rate r whether or not the scenario paces the screen (`reader.pacer`), so stalls, late
  tokens and QoE do not depend on that pacer. Where a policy paces the screen itself (`session.pace`, as
  `pd_device` does), its readers can read only what it shows: D_i, stalls, late tokens and QoE then take S_i
  for A_i. TTFT, TBT and end-to-end times stop the clock at the client all the same.
- `edge_box_s` counts slots in use. A sequence is charged its own stay in a round, over the number of sequences
  with which the round began. What a slot stands empty until the longest of its round is done is nobody's, so
  the shares of all requests add up to at most `edge_busy_s`, and to all of it only where the sequences of
  each round end together.
- A pause or a late token needs more than 1 ns, so that a stream exactly on schedule is on time in floating
  point.
- Requests that did not finish have NaN durations and zero counts of stalls and late tokens. Their QoE is 0
  where they failed and NaN where they were rejected. Each summary number names the requests it covers.
- Percentiles use the quantile method `linear`. p99.9 is stated from 10,000 requests on.
- Pooled gaps come from a histogram with 512 bins per octave: relative error below 0.2 %, gaps under 1 us
  count as 0.
- The sample of every interval is the replication, not the request: requests of one run share queues and
  weather. A comparison uses paired differences over replications that share all luck, with Student's t.
  The change in per cent is the ratio of the two means, its interval that of the linearised ratio. With one
  replication there is no interval (n/a). Replications in which a metric is undefined are left out and
  counted.
"""


_ENDPOINTS = """\
## endpoints.parquet

A row for each request and each endpoint that was asked for it, only where a scenario has `services`: columns of the
server in requests.parquet are sums over the rows of that role.
"""

_ON_DEMAND = """\
## On demand

In no file: `discosim.metrics.streaming` and `discosim.metrics.capacity` compute them from token timelines, each
with parameters of its own (deadlines D_p and D_d, weight alpha). The last two come from
`requests.parquet` and from targets that are given afterwards, `--slo ttft_s=0.5,tpot_s=0.1`
([how](how-to/results-in-python.md)).
"""

_HOMES = """\
## Where each is computed

One number has one home: the function whose result holds it.
"""

_CONTRAST = """\
The same answer under different metrics: 100 tokens for a reader of 5 tok/s whose first token is due at 1 s (exact
values; each is a test). Andes averages lateness over the tokens, smooth goodput takes the worst one, Etalon counts
missed slots, and the stall ratio ignores the wait for the first token.
"""


def _endpoints() -> str:
    rows = [f"| `{name}` | {unit} | {about} |" for name, (unit, about) in ENDPOINT_FIELDS.items()]
    return "\n".join(["| Column | Unit | Meaning |", "|---|---|---|", *rows]) + "\n"


def metrics_page() -> str:
    """Return docs/metrics.md as text."""
    sections = [
        _HEAD,
        "## requests.parquet\n",
        _table(REQUEST_METRICS),
        "## tokens.parquet\n\nThe columns `policy`, `replication` and `request_id` as above, and:\n",
        _table(TOKEN_METRICS),
        _ENDPOINTS,
        _endpoints(),
        "## Summary, per policy and replication\n",
        _table(SUMMARY_METRICS),
        _ON_DEMAND,
        _table((*STREAMING_METRICS, *TARGET_METRICS)),
        _HOMES,
        _homes(),
        _CONTRAST,
        _contrast(),
        "## The same things in other tools\n",
        _vocabulary(),
        "Traps:\n",
        "\n".join(f"- {trap.text}" for trap in TRAPS) + "\n",
    ]
    return "\n".join(sections)


def _table(metrics: Sequence[MetricDefinition]) -> str:
    """Return a Markdown table of definitions."""
    rows = [
        (
            f"`{m.name}`",
            m.unit,
            m.dtype,
            m.direction if m.direction != "neutral" else "",
            f"`{m.formula}`" if m.formula != "-" else "",
            m.description + _elsewhere(m),
            m.source,
        )
        for m in metrics
    ]
    return _markdown(("Name", "Unit", "Type", "Better", "Formula", "Meaning", "Source"), rows)


def _homes() -> str:
    """Return which function computes which numbers."""
    names: dict[str, list[str]] = {}
    for metric in (*REQUEST_METRICS, *TOKEN_METRICS, *SUMMARY_METRICS, *STREAMING_METRICS, *TARGET_METRICS):
        names.setdefault(metric.computed_by, []).append(f"`{metric.name}`")
    return _markdown(("Function", "Numbers"), [(f"`{home}`", ", ".join(held)) for home, held in names.items()])


def _contrast() -> str:
    """Return what each metric makes of the same delivery patterns."""
    head = ("Delivery", "qoe_andes", "fluidity_index", "share_on_time", "idle_latency_s", "n - 2.5 l", "stall_s")
    rows = [
        ("on the ideal line", "1", "1", "1", "0.80", "98.0", "0"),
        ("a token per 0.05 s, first at 1 s", "1", "1", "1", "0.80", "98.0", "0"),
        ("the same, first at 11 s", "0.4975", "0.6600", "0.99", "10.80", "73.0", "0"),
        ("a token per 0.4 s, first at 1 s", "0.6667", "0.0050", "0.01", "20.60", "48.5", "19.80"),
        ("a token per 0.05 s, pause of 10 s before token 51", "0.8992", "0.8839", "0.99", "3.30", "91.8", "2.50"),
        ("the same, before token 6", "0.5411", "0.6781", "0.99", "10.05", "74.9", "9.25"),
        ("the same, of 5 s before token 51", "1", "1", "1", "0.80", "98.0", "0"),
    ]
    return _markdown(head, rows)


def _elsewhere(metric: MetricDefinition) -> str:
    if not metric.aliases or metric.level == "summary":
        return ""
    return " Elsewhere: " + ", ".join(f"{tool} `{word}`" for tool, word in metric.aliases.items()) + "."


def _vocabulary() -> str:
    """Return the contrast table."""
    head = (
        "Tool",
        "First token",
        "Mean gap per request",
        "Single gap",
        "Mean with first token",
        "Whole request",
        "Good requests",
    )
    rows = [
        (v.tool, v.first_token, v.mean_gap, v.single_gap, v.mean_with_first, v.whole_request, v.good_requests)
        for v in VOCABULARY
    ]
    return _markdown(head, rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines) + "\n"
