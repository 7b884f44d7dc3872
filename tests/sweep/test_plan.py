"""Plans: which runs, in which order, under which names; and mistakes, all at once with their places."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from sweep_samples import SWEEP, write

from discosim.config.schema import schema_json, schema_of
from discosim.config.yaml_loader import read_file
from discosim.core.errors import UserError
from discosim.sweep.file import SweepFile
from discosim.sweep.plan import load_plan

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "sweeps").glob("*.yaml"))


def test_every_combination_is_a_point_and_the_first_axis_varies_slowest(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path))
    found = [(point.values["policies.A.budget"], point.values["link"]["kind"]) for point in plan.points]
    assert found == [(0.2, "none"), (0.2, "constant"), (0.6, "none"), (0.6, "constant")]
    assert all(point.values["policies.A.budget"] == point.values["policies.B.budget"] for point in plan.points)
    options = [{policy.name: dict(policy.options) for policy in point.scenario.policies} for point in plan.points]
    assert [option["B"]["budget"] for option in options] == [0.2, 0.2, 0.6, 0.6]
    assert [point.scenario.link.kind for point in plan.points] == ["none", "constant", "none", "constant"]


def test_runs_go_seed_by_seed_and_are_one_replication_each(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path))
    runs = plan.runs(plan.seeds)
    assert [(run.seed, run.point) for run in runs] == [(seed, point) for seed in (3, 4, 5) for point in range(4)]
    scenario = plan.scenario(runs[-1])
    assert (scenario.seed, scenario.replications) == (5, 1)
    assert len({run.id for run in runs}) == len(runs)
    assert runs[0].folder == f"{runs[0].id[:10]}-s3"


def test_zip_goes_step_by_step_beside_the_grid(tmp_path: Path) -> None:
    zipped = "  zip: {reader.tok_per_s: [4, 8, 12], reader.pacer: [true, false, true]}\n  seeds:"
    plan = load_plan(write(tmp_path, SWEEP, ("  seeds:", zipped)))
    assert len(plan.points) == 12
    found = [(point.values["reader.tok_per_s"], point.scenario.reader.pacer) for point in plan.points[:3]]
    assert found == [(4, True), (8, False), (12, True)]


def test_an_identity_depends_on_what_decides_the_result_and_on_nothing_else(tmp_path: Path) -> None:
    def ids(*changes: tuple[str, str]) -> set[str]:
        plan = load_plan(write(tmp_path, SWEEP, *changes))
        return {run.id for run in plan.runs(plan.seeds)}

    base = ids()
    assert ids() == base
    assert ids(("name: sample", "name: other")) == base
    assert ids(("[0.2, 0.6]", "[0.6, 0.2]")) == base
    assert ids(("metric: ttft_mean_s", "metric: ttft_p99_s")) == base
    assert ids(("root: 3, n: 3", "root: 3, n: 4")) > base
    assert len(ids(("[0.2, 0.6]", "[0.2, 0.7]")) & base) == 6
    assert ids(("n_requests: 40", "n_requests: 41")) & base == set()
    assert ids(("openrouter-deepseek-v3.2", "openrouter-gpt-5.4")) & base == set()


def test_a_file_counts_by_its_content_not_by_its_place(tmp_path: Path) -> None:
    start = SWEEP.index("  workload:")
    text = f"{SWEEP[:start]}  workload: {{kind: replay, file: mine.jsonl}}\n{SWEEP[SWEEP.index('  devices:') :]}"
    found = []
    for folder, line in (("a", 5), ("b", 5), ("c", 6)):
        (tmp_path / folder).mkdir()
        row = f'{{"arrival_s": 0, "prompt_tok": 5, "output_tok": {line}}}\n'
        (tmp_path / folder / "mine.jsonl").write_text(row, encoding="utf-8")
        plan = load_plan(write(tmp_path / folder, text))
        found.append([run.id for run in plan.runs(plan.seeds)])
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_a_profile_is_another_size_in_another_folder(tmp_path: Path) -> None:
    profiles = "profiles:\n  quick: {set: {workload.n_requests: 7}, grid: {link: [{kind: none}]}, n_seeds: 2}\n"
    path = write(tmp_path, SWEEP + profiles)
    plan = load_plan(path, profile="quick")
    assert plan.name == "sample-quick"
    assert [len(plan.points), len(plan.seeds)] == [2, 2]
    assert plan.points[0].scenario.workload.n_requests == 7
    assert load_plan(path).points[0].scenario.workload.n_requests == 40
    with pytest.raises(UserError, match="unknown profile 'quik'; did you mean 'quick'"):
        load_plan(path, profile="quik")


def test_a_base_is_a_file_beside_the_sweep_or_a_shipped_name(tmp_path: Path) -> None:
    text = SWEEP[: SWEEP.index("base:")] + "base: quickstart\nsweep:\n  grid: {reader.tok_per_s: [2, 4]}\n"
    plan = load_plan(write(tmp_path, text), overrides=["workload.n_requests=9"])
    assert [point.scenario.reader.tok_per_s for point in plan.points] == [2.0, 4.0]
    assert {point.scenario.workload.n_requests for point in plan.points} == {9}
    with pytest.raises(UserError, match=r"sample.yaml:2:7 base: unknown configuration 'quickstrat'; did you mean"):
        load_plan(write(tmp_path, text.replace("quickstart", "quickstrat")))


MISTAKES = {
    "unknown key": ("compare:", "compara:", "sample.yaml:26:1 compara: unknown key; did you mean 'compare'"),
    "wrong value on an axis": (
        "[0.2, 0.6]",
        "[0.2, 1.6]",
        "sample.yaml:23:49 policies[1].budget: must be <= 1 (got 1.6)",
    ),
    "unknown policy on an axis": ("policies.B.budget:", "policies.C.budget:", "sample.yaml:23:44: no policy named 'C'"),
    "unknown path": ("    link:", "    lnk:", "sample.yaml:24:11 lnk: unknown key; did you mean 'link'"),
    "seeds on an axis": (
        "    link:",
        "    seed: [1, 2]\n    link:",
        "seed: cannot be varied: seeds stand in sweep.seeds",
    ),
    "same value twice": ("[0.2, 0.6]", "[0.2, 0.2]", "sample.yaml:23:49"),
    "unknown metric": ("metric: ttft_mean_s", "metric: ttft_men_s", "compare[0].metric: unknown metric 'ttft_men_s'"),
    "column, not summary": ("metric: ttft_mean_s", "metric: ttft_s", "is a column of single requests, not a summary"),
    "unknown baseline": (
        "baseline: server_only}",
        "baseline: serveronly}",
        "unknown policy 'serveronly'; did you mean",
    ),
    "no axis": ("baseline: server_only}", "at: {x: 1}}", "compare[0].at.x: is no axis of the sweep"),
    "no such value": ("baseline: server_only}", "at: {policies.A.budget: 0.3}}", "is no value of that axis"),
    "no seeds": ("n: 3}", "n: 0}", "sweep.seeds.n: must be >= 1 (got 0)"),
    "mistake in the base": ("n_requests: 40", "n_requests: -1", "sample.yaml:6:17 workload.n_requests: must be >= 1"),
    "name": ("name: sample", "name: a/b", "sample.yaml:1:7 name: must not be a path"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_with_its_place_before_anything_runs(case: str, tmp_path: Path) -> None:
    old, new, expected = MISTAKES[case]
    with pytest.raises(UserError) as caught:
        load_plan(write(tmp_path, SWEEP, (old, new)))
    assert expected in str(caught.value)


def test_lists_that_go_together_are_equally_long(tmp_path: Path) -> None:
    zipped = "  zip: {reader.tok_per_s: [4, 8], reader.pacer: [true]}\n  seeds:"
    with pytest.raises(UserError, match=r"sweep.zip.reader.pacer: must have as many values as reader.tok_per_s: 2"):
        load_plan(write(tmp_path, SWEEP, ("  seeds:", zipped)))


def test_stop_refers_to_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stop.compare: unknown comparison 'x'"):
        load_plan(write(tmp_path, SWEEP + "stop: {compare: x, half_width: 0.1}\n"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("n: 3}", "n: 900000000}"),
        (
            "    link:",
            f"    workload.n_requests: {list(range(1, 4000))}\n    reader.tok_per_s: {list(range(1, 4000))}\n    link:",
        ),
    ],
)
def test_a_product_that_nobody_means_is_refused_before_it_is_written_out(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"sample\.yaml:\d+:\d+ sweep: gives .* runs; at most 10,000,000 fit into one sweep"
    ):
        load_plan(write(tmp_path, SWEEP, (old, new)))


def test_the_committed_schema_is_up_to_date() -> None:
    committed = (SHIPPED[0].parent / "discosim-sweep.schema.json").read_text(encoding="utf-8")
    wanted = schema_json(SweepFile, "discosim sweep")
    assert committed == wanted, "run: discosim schema --sweep > configs/sweeps/discosim-sweep.schema.json"


def test_there_are_shipped_sweeps() -> None:
    assert {path.stem for path in SHIPPED} >= {"budget", "reading-speed", "last-hop", "load"}


@pytest.mark.parametrize("profile", ["quick", "paper"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_sweep_is_a_plan_in_both_sizes(path: Path, profile: str) -> None:
    plan = load_plan(path, profile=profile)
    assert plan.file.name == path.stem
    assert plan.file.compare
    assert len(plan.seeds) >= (20 if profile == "paper" else 3)
    jsonschema.Draft7Validator(schema_of(SweepFile, "discosim sweep")).validate(read_file(path).data)
    assert load_plan(path.stem, profile=profile).points == plan.points
