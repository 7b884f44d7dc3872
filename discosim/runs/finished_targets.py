"""What few rows of inputs leave open in the numbers of targets, from the files of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.metrics.influence import Columns
from discosim.metrics.summary import SummaryTable
from discosim.runs.facts import read_facts
from discosim.runs.finished import REQUESTS, met_rows, read_requests, thin_inputs
from discosim.runs.input_intervals import intervals_of_rows, intervals_of_versions
from discosim.runs.inputs import measured_inputs, service_models
from discosim.runs.provenance import fingerprints, measured

Cells = Mapping[tuple[str, str], Mapping[str, float]]
"""(policy, number) -> half-widths by name."""


def target_half_widths(folder: Path, targets: Mapping[str, float], summary: SummaryTable) -> Cells:
    """Return the half-widths with inputs of the numbers of targets, as the run itself had given them.

    Parameters
    ----------
    folder : Path
        A finished run.
    targets : mapping of str to float
        Column -> the most that it may be.
    summary : SummaryTable
        The numbers of the targets alone, and their intervals by luck.

    Returns
    -------
    mapping
        Empty where the inputs of the run are not to be had as they were; what is not known is not there.
    """
    try:
        scenario = load_scenario(folder / "config.yaml", runs_own=False)
        if measured(read_facts(folder)["inputs_sha256"]) != measured(fingerprints(scenario)):
            return {}
        models = service_models(scenario)
        inputs = measured_inputs(scenario, models)
        columns: Columns = read_requests(folder / REQUESTS, summary.metrics, targets)
        if scenario.inputs.resample:
            return intervals_of_versions(inputs, columns, summary).with_inputs
        met = met_rows(scenario, models, thin_inputs(inputs, resample=False), {scenario.seed: columns})
        return intervals_of_rows(inputs, met, columns, summary).with_inputs
    except UserError:
        return {}
