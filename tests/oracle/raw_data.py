"""Raw data of the shipped digests, read here by other code than the recipes have."""

from __future__ import annotations

import functools
import itertools
import json
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd


@functools.cache
def azure(root: Path, service: str) -> pd.DataFrame:
    table = pd.read_csv(root / "azure-llm-2023" / f"AzureLLMInferenceTrace_{service}.csv.xz")
    stamp = pd.to_datetime(table["TIMESTAMP"], format="%Y-%m-%d %H:%M:%S.%f0")
    table["gap"] = (stamp - stamp.iloc[0]).dt.total_seconds().diff()
    return table


@functools.cache
def llmperf(root: Path) -> dict[str, pd.DataFrame]:
    """Read the raw JSON files, not the table that the recipe reads."""
    services = {}
    with tarfile.open(root / "llmperf-leaderboard-2023" / "individual.tar.xz") as archive:
        for member in archive.getmembers():
            if member.name.endswith(".json"):
                stream = archive.extractfile(member)
                assert stream is not None
                services[Path(member.name).stem] = pd.DataFrame(json.load(stream))
    return services


@functools.cache
def openrouter(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "openrouter-probes-2026-05-12" / "probes_2026-05-12.csv")


@functools.cache
def ireland(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "ireland-5g-ucc" / "ping_rows.csv")


@functools.cache
def uncore(root: Path, number: str) -> np.ndarray:
    with lzma.open(root / "rtt-wifi-4g-uncore" / f"tyrell_roundtrip{number}.csv.xz", "rt") as lines:
        return np.array([float(line) for line in lines]) / 1000


def raw_ttft_tpot(root: Path, name: str) -> tuple[np.ndarray, np.ndarray, float]:
    if name.startswith("openrouter"):
        table = openrouter(root)
        model = table["model"].str.split("/").str[1] == name.removeprefix("openrouter-")
        ok = table[model & (table["status"] == "ok") & ~table["hour_utc"].isin([10, 14])]
        ttft_s, e2e_s, tokens = ok["ttft_ms"] / 1e3, ok["latency_ms"] / 1e3, ok["token_count"]
        failed = 0.0
    else:
        _, provider, _, size = name.split("-")
        table = llmperf(root)[f"{provider}_{size}"]
        is_ok = table["error_code"].isna() if "error_code" in table else pd.Series(True, index=table.index)
        ok = table[is_ok]
        ttft_s, e2e_s = ok["ttft_s"].astype(float), ok["end_to_end_latency_s"].astype(float)
        tokens = ok["number_output_tokens"].astype(float)
        failed = 1 - is_ok.mean()
    tpot_s = (e2e_s - ttft_s) / (tokens - 1)
    return ttft_s.to_numpy(), tpot_s.to_numpy(), failed


def raw_rtt(root: Path, name: str) -> np.ndarray:
    if name in {"phone-4g", "wifi-fibre"}:
        values = uncore(root, {"phone-4g": "003", "wifi-fibre": "011"}[name])
        return np.minimum(values, np.quantile(values, 0.999))
    if name.startswith("starlink"):
        (path,) = (root / "starlink-ping-mmsys24").glob(f"*ping-gw-{name.removeprefix('starlink-')}*")
        rtt_ms = pd.read_csv(path, sep="\t", header=None)[2].to_numpy()
        return rtt_ms[rtt_ms >= 0] / 1000
    mode, mobility = name.split("-")
    table = ireland(root)
    mine = (table["network_mode"] == mode.upper()) & (table["mobility"] == mobility.capitalize())
    return table.loc[mine, "ping_avg_ms"].to_numpy() / 1000


def raw_events(root: Path, name: str) -> tuple[list[list[int]], list[list[float]]]:
    """Return tokens of each event and gaps over the mean time per token, stream by stream, by a plain loop."""
    provider, _, model, version = name.removesuffix("-chunks").split("-")
    columns = pd.read_csv(root / "latencylab-chunks-2024" / "prompt.csv")
    (column,) = (
        c
        for c in columns
        if c.startswith({"openai": "OpenAI", "azure": "Azure"}[provider])
        and f"gpt-{model}" in c
        and version in c
        and c.endswith("chunks_time_seconds")
    )
    sizes, gaps = [], []
    for text in columns.loc[columns[column.replace("chunks_time_seconds", "success")].astype(str) == "True", column]:
        waits_s = json.loads(text)[2 if provider == "azure" else 1 :]
        events, at_s, now_s = [1], [0.0], 0.0
        for wait_s in waits_s:
            now_s += wait_s
            if wait_s >= 0.001:
                events.append(0)
                at_s.append(now_s)
            events[-1] += 1
        if len(events) > 1:
            sizes.append(events)
            gaps.append([(b - a) / (at_s[-1] / len(waits_s)) for a, b in itertools.pairwise(at_s)])
    return sizes, gaps


def lag1(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float(centred[1:] @ centred[:-1] / (centred @ centred))
