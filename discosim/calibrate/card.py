"""What a comparison leaves on the card of a digest, so that every later run says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from discosim.calibrate.evidence import Part
from discosim.calibrate.setup import engine_of
from discosim.calibrate.validate import Validation
from discosim.core.errors import UserError
from discosim.core.scenario import FileIterations, Scenario
from discosim.traces.digest_file import read_own_digest, write_own_digest
from discosim.traces.engine_digest import EngineDigest

_COMPARED = "compared with "
_SHOWN = (("ttft_s", "p50", "TTFT p50"), ("tpot_s", "mean", "TPOT mean"), ("e2e_s", "p50", "E2E p50"))


def own_digest(scenario: Scenario) -> Path:
    """Return the file of the scenario's own digest.

    Raises
    ------
    UserError
        If its iteration times are from anything else: a digest that is shipped is not altered.
    """
    iterations = engine_of(scenario).iterations
    if not isinstance(iterations, FileIterations):
        raise UserError(
            "--card writes onto a digest of your own, that of server.iterations: {kind: file, file: ...} "
            f"(got kind {iterations.kind})",
            where="server.iterations",
        )
    return Path(iterations.file)


def write_card(found: Validation, holdout: Part | None, raw_sha256: str, path: Path) -> str:
    """Write the comparison onto the card of a digest, behind what it was calibrated on, and return the sentence.

    An older comparison is replaced.

    Parameters
    ----------
    found : Validation
        The comparison.
    holdout : Part or None
        What was held out; the sentence is about that where given.
    raw_sha256 : str
        Of the log, to know whether the digest was calibrated on it.
    path : Path
        The digest.
    """
    digest = read_own_digest(path, "engine")
    assert isinstance(digest, EngineDigest)
    trained = (digest.validated or "").partition(_COMPARED)[0].rstrip("; ")
    seen = raw_sha256 == digest.card.raw_sha256 or Path(found.log.name).name in trained
    sentence = "; ".join(part for part in (trained, _sentence(found, holdout, is_seen=seen)) if part)
    write_own_digest(replace(digest, validated=sentence), path)
    return sentence


def _sentence(found: Validation, holdout: Part | None, *, is_seen: bool) -> str:
    shown = found.holdout or found.all
    errors = [
        f"{name} {shown[metric][stat]['error_pct']:+.1f} %"
        for metric, stat, name in (*_SHOWN, ("e2e_s", "p99", "p99"))
        if metric in shown and shown[metric][stat]["error_pct"] == shown[metric][stat]["error_pct"]  # not NaN
    ]
    which = (
        f"all {len(found.log)} requests" if holdout is None else f"held-out {int(holdout.of(found.log).sum())} requests"
    )
    log = Path(found.log.name).name
    if is_seen:
        log = f"{log}, the log it was calibrated on"
        log += ", so a fit and no forecast" if holdout is None else ""
    return f"{_COMPARED}{which} of {log}: {', '.join(errors)}"
