"""The inner form of answers, and their assumed quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from discosim.core.spec import spec

LABELS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"vicuna": (37, 80), "wizardlm": (58, 218), "lima": (371, 1030)}
)
"""Questions that suit an answer in parts, and all questions.

Source: label files of Skeleton-of-Thought (github.com/imagination-research/sot, data/*/router.csv), counted (derived).
"""


@dataclass(frozen=True, kw_only=True)
class ShareOfAnswers:
    """A share of the questions can be answered in parts."""

    kind: Literal["share"] = spec("share", doc="A share of your choice.")
    suitable_share: float = spec(1.0, doc="Share of questions whose answer can be written in parts.", ge=0, le=1)
    part_tok: float = spec(
        40.0, doc="Answer tokens that one sentence of a sketch stands for (our assumption).", unit="tok", ge=1
    )
    part_sigma: float = spec(0.5, doc="Sigma of the log of the parts' lengths in one answer (our assumption).", ge=0)


@dataclass(frozen=True, kw_only=True)
class LabelledAnswers:
    """The share of a question set whose public labels call it suitable."""

    kind: Literal["labels"] = spec("labels", doc="The share that public labels give.")
    labels: Literal["vicuna", "wizardlm", "lima"] = spec(
        "vicuna", doc="Question set labelled for Skeleton-of-Thought: 37 of 80, 58 of 218, 371 of 1,030 are suitable."
    )
    part_tok: float = spec(
        40.0, doc="Answer tokens that one sentence of a sketch stands for (our assumption).", unit="tok", ge=1
    )
    part_sigma: float = spec(0.5, doc="Sigma of the log of the parts' lengths in one answer (our assumption).", ge=0)


Answers = ShareOfAnswers | LabelledAnswers


@dataclass(frozen=True, kw_only=True)
class PickAccuracy:
    """How much of the gain of the best candidate each pick rule realises."""

    perplexity: float = spec(0.4, doc="Perplexity alone (our assumption).", ge=0, le=1)
    similarity: float = spec(0.5, doc="Similarity to the sketch alone (our assumption).", ge=0, le=1)
    both: float = spec(0.7, doc="Perplexity and similarity (our assumption).", ge=0, le=1)


@dataclass(frozen=True, kw_only=True)
class AssumedQuality:
    """Assumed quality of answers in [0, 1]; no run measures it."""

    kind: Literal["assumed"] = spec("assumed", doc="Numbers of your own; meant where `kind` is left out.", since="0.2")
    cloud: float = spec(0.9, doc="An answer of the server's model (our assumption).", ge=0, le=1)
    device: float = spec(0.7, doc="An answer of a device's model (our assumption).", ge=0, le=1)
    edge: float = spec(0.7, doc="An answer of an edge model without a sketch (our assumption).", ge=0, le=1)
    sketch_power: float = spec(
        2.0, doc="What a sketch of rho leaves missing shrinks by (1 - rho) to this power (our assumption).", gt=0
    )
    spread: float = spec(
        0.08, doc="Standard deviation of the quality of one model's candidates (our assumption).", ge=0
    )
    pick_accuracy: PickAccuracy = spec(PickAccuracy, doc="How well a candidate is picked.")
    unsuitable_loss: float = spec(
        0.2, doc="What writing in parts costs where the question does not suit it (our assumption).", ge=0, le=1
    )


@dataclass(frozen=True, kw_only=True)
class JointQuality:
    """Right or wrong, as measured of a weak model (device, edge) and a strong one (server) on the same questions."""

    kind: Literal["joint"] = spec("joint", doc="Who is right, counted on a benchmark; gives `accuracy`.")
    digest: str = spec(doc="Name of a digest of joint quality (`discosim traces list`).")
    by_length: bool = spec(
        False,
        doc="Take the quarter of the benchmark's questions that are as long as the prompt, a token being four characters; false takes all for any prompt.",
    )


Quality = JointQuality | AssumedQuality
