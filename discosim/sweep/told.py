"""What workers tell of the runs that they have just written, so that the driver need not read it back."""

from __future__ import annotations

from typing import TypedDict

from discosim.runs.result import RunResult

REPLICATIONS = "replications.parquet"


class Numbers(TypedDict):
    """The content of a replications.parquet, as plain data."""

    sha256: str
    """Of the file that holds it: only of a folder whose file has it is this the content."""
    policies: list[str]
    names: list[str]
    rows: list[list[float]]
    """A row per policy, with a number for each name."""


def numbers_of(result: RunResult) -> Numbers | None:
    """Return the numbers of a run that was written to a folder; None where nobody knows what its file hashes to."""
    written = result.written.get(REPLICATIONS)
    if written is None:
        return None
    columns = dict(result.replication_columns)
    policies = columns.pop("policy").tolist()
    rows = zip(*(values.astype(float).tolist() for values in columns.values()), strict=True)
    return Numbers(
        sha256=str(written["sha256"]), policies=policies, names=list(columns), rows=[list(row) for row in rows]
    )
