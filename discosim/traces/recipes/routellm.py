"""Which of Mixtral-8x7B and GPT-4 answers MMLU and GSM8K right (RouteLLM's evaluation)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.core.joint_quality import JointTable, LengthBand
from discosim.traces.digest import Card
from discosim.traces.quality_digest import QualityDigest
from discosim.traces.recipes import measure
from discosim.traces.recipes.measure import Ints
from discosim.traces.recipes.recipe import Recipe

_BENCHMARKS = {"mmlu": ("MMLU", "multiple choice"), "gsm8k": ("GSM8K", "school arithmetic in words")}
N_BANDS = 4


def _table(weak_ok: Ints, strong_ok: Ints) -> JointTable:
    cells = np.bincount(2 * (1 - strong_ok) + (1 - weak_ok), minlength=4).tolist()
    return JointTable(both=cells[0], only_strong=cells[1], only_weak=cells[2], neither=cells[3])


def _bands(chars: Ints, weak_ok: Ints, strong_ok: Ints) -> tuple[LengthBand, ...]:
    """Cut the questions at the quarters of their lengths."""
    longest = [int(x) for x in np.quantile(chars, np.arange(1, N_BANDS + 1) / N_BANDS, method="inverted_cdf")]
    found = []
    for low, high in zip([0, *longest[:-1]], longest, strict=True):
        mine = (chars > low) & (chars <= high)
        found.append(LengthBand(longest_chars=high, table=_table(weak_ok[mine], strong_ok[mine])))
    return tuple(found)


def _recipe(benchmark: str) -> Recipe:
    name = f"routellm-{benchmark}"
    title, what = _BENCHMARKS[benchmark]

    def build(path: Path, sha256: str) -> QualityDigest:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if row["benchmark"] == benchmark]
        if not rows:
            raise UserError(f"holds no question of {benchmark}", where=str(path))
        chars, weak_ok, strong_ok = (
            np.array([int(row[column]) for row in rows]) for column in ("prompt_chars", "weak_ok", "strong_ok")
        )
        card = Card(
            title=f"{title}: Mixtral-8x7B-Instruct (weak) and gpt-4-1106-preview (strong) on {len(rows):,} questions",
            origin="https://github.com/lm-sys/RouteLLM",
            commit="0b64fdafe049e596a3f5657c219329f24af24198",
            licence="Apache-2.0",
            citation="Ong et al., RouteLLM: Learning to route LLMs with preference data, arXiv 2406.18665",
            raw_file="joint.csv (right or wrong of both models per question, taken from the evaluation's answers)",
            raw_sha256=sha256,
            method="questions counted by which model is right: of all, and by quarters of the prompts' length",
            quirks=(
                "The weak model has 47 billion parameters and runs on no phone; a phone's model is wrong more often.",
                f"{title} is {what}, not chat; models of 2023.",
                "The length of a prompt is that of the question, without the examples that may be put before it.",
            ),
        )
        only_strong = (strong_ok == 1) & (weak_ok == 0)
        return QualityDigest(
            name=name,
            card=card,
            n=len(rows),
            weak="Mixtral-8x7B-Instruct",
            strong="gpt-4-1106-preview",
            table=_table(weak_ok, strong_ok),
            bands=_bands(chars, weak_ok, strong_ok),
            moments={
                "weak_right": float(weak_ok.mean()),
                "strong_right": float(strong_ok.mean()),
                "right_pearson": measure.pearson(weak_ok, strong_ok),
                "length_only_strong_pearson": measure.pearson(chars, only_strong),
                "prompt_chars_mean": float(chars.mean()),
            },
        )

    return Recipe(name, "quality", "routellm-joint-quality/joint.csv", build)


RECIPES = tuple(_recipe(benchmark) for benchmark in _BENCHMARKS)
