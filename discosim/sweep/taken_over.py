"""Policies that several runs of a sweep have in common, or that stand beside code of the user's: run once, and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from discosim.core.own_code import is_own
from discosim.core.scenario import Scenario
from discosim.runs.identity import policy_ids
from discosim.runs.kept import file_name
from discosim.sweep.plan import Plan, Run
from discosim.sweep.store import KEPT, Store
from discosim.sweep.worker import Outcome


def kept_names(plan: Plan) -> list[tuple[str, ...]]:
    """Return for each point the policies whose outcomes are worth keeping.

    Those that another point has too, with all else equal, such as a baseline where only a rival's option varies: they
    are run once. And all that stand beside code in a file of the user's, which will be edited: then its column alone
    is run again.
    """
    ids = [_ids(point.scenario, point.inputs_sha256) for point in plan.points]
    counts = Counter(identity for held in ids for identity in held.values())
    return [
        tuple(name for name, identity in held.items() if counts[identity] > 1 or has_own(point.scenario))
        for point, held in zip(plan.points, ids, strict=True)
    ]


def has_own(scenario: Scenario) -> bool:
    """Tell whether a policy of a scenario is code in a file of the user's."""
    return any(is_own(spec.kind) for spec in scenario.policies)


def _ids(scenario: Scenario, inputs: Mapping[str, str]) -> dict[str, str]:
    return policy_ids(scenario, [spec.name for spec in scenario.policies], inputs)


def forget_unused(plan: Plan, store: Store, runs: Sequence[Run]) -> None:
    """Remove what was kept and is of use no more: what only the points of this sweep shared, and what was edited."""
    if not (store.folder / KEPT).is_dir():
        return
    wanted = set()
    for run in runs:
        point = plan.points[run.point]
        if has_own(point.scenario):
            ids = _ids(replace(point.scenario, seed=run.seed), point.inputs_sha256)
            wanted |= {file_name(identity) for identity in ids.values()}
    store.forget_kept(wanted)


class TakenOver:
    """Counts, while a sweep is carried out, whose worlds were run and whose were not."""

    def __init__(self) -> None:
        self._run: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    def done(self, run: Run, outcome: Outcome) -> None:
        """Hear of a run."""
        del run
        self._run.update(outcome.get("policies_run", ()))
        self._taken.update(outcome.get("policies_taken", ()))

    def note(self, plan: Plan) -> list[str]:
        """Return one sentence where anything was taken over beside code of the user's, who wants to see its change."""
        if not self._taken or not any(has_own(point.scenario) for point in plan.points):
            return []
        run = f"run: {_counted(self._run)}" if self._run else "nothing was run"
        return [f"taken over from finished runs: {_counted(self._taken)}; {run}"]


def _counted(names: Counter[str]) -> str:
    """Return policies with how many of their runs are meant, those of one number together."""
    by_count: dict[int, list[str]] = {}
    for name, n in names.items():
        by_count.setdefault(n, []).append(name)
    return "; ".join(
        f"{', '.join(sorted(held))} ({n} run{'s' * (n > 1)}{' each' * (len(held) > 1)})"
        for n, held in sorted(by_count.items())
    )
