"""From measured joint quality in a scenario to the model in a world."""

from __future__ import annotations

from discosim.core.scenario import JointQuality
from discosim.traces.catalogue import load_digest
from discosim.traces.quality_digest import QualityDigest
from discosim.world.joint import JointModel


def joint_model(spec: JointQuality) -> JointModel:
    """Resolve joint quality.

    Raises
    ------
    UserError
        If the digest is unknown.
    """
    digest = load_digest(spec.digest, "quality")
    assert isinstance(digest, QualityDigest)
    return JointModel(digest.bands) if spec.by_length else JointModel.of(digest.table)
