"""The papers' folders: their files are valid, their committed tables hold what theory says, a cheap claim is golden."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from discosim.report.style import save
from discosim.reproduce.artifact import claims_table, with_table
from discosim.reproduce.check import check
from discosim.reproduce.code import load_module
from discosim.reproduce.experiment import load_experiment, load_experiments
from discosim.reproduce.files import WEAK
from discosim.reproduce.forest import write_forest
from discosim.reproduce.run import judge_all, read_tables
from discosim.reproduce.tables import Context, make_table, read_csv

ROOT = Path(__file__).parents[2]
PAPERS = ROOT / "experiments"
EXPERIMENTS = load_experiments(PAPERS)


def test_no_file_hides_a_module_of_the_standard_library() -> None:
    """A script beside such a file imports the file, and so does everything that the script imports."""
    assert [str(path) for path in PAPERS.rglob("*.py") if path.stem in sys.stdlib_module_names] == []


def committed(experiment, profile="quick"):
    return {name: read_csv(experiment.committed(profile, name)) for name in experiment.file.tables}


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_every_table_is_committed_and_every_claim_is_judged(experiment) -> None:
    verdicts = judge_all(experiment, committed(experiment))
    assert [verdict.claim for verdict in verdicts] == list(experiment.claims.claims)
    for verdict in verdicts:
        kinds = {given.kind for _, given in verdict.inputs}
        if verdict.word not in {"too few runs", "not testable here"} and kinds & set(WEAK):
            assert verdict.text.endswith("on assumed inputs")


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_committed_tables_pass_their_own_check(experiment) -> None:
    assert check(experiment, "quick", committed(experiment)) == []


@pytest.mark.long
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_figures_have_titles_and_units(experiment) -> None:
    """Every axis that carries data has a real unit in brackets, or names, on it; every figure has a title."""
    tables = committed(experiment)
    for name, source in experiment.file.figures.items():
        figure = getattr(experiment.code["figures"], source.draw or name)(
            *(tables[t].copy() for t in source.tables), **source.options
        )
        drawn = [axes for axes in figure.axes if axes.has_data()]
        assert figure.get_suptitle() or any(axes.get_title(loc="left") for axes in drawn), name
        for axes in drawn:
            is_shared = not any(label.get_visible() for label in axes.get_xticklabels())
            has_x = bool(axes.get_xlabel()) or is_shared or not axes.xaxis.get_tick_params().get("labelbottom", True)
            assert has_x, name
            for axis in (axes.xaxis, axes.yaxis):
                label = axis.get_label_text()
                are_names = any(c.isalpha() for tick in axis.get_ticklabels() for c in tick.get_text())
                assert not label or are_names or label.endswith("]") or "USD" in label, (name, label)
                assert not label.endswith(("[1]", "[name]")), (name, label)


PICTURES = {
    "all_systems": ("all_systems", "tuned_mean_ttft"),
    "all_systems_beyond_the_race": ("all_systems", "beyond_the_race"),
    "pd_device_choices": ("pd_device", "choices"),
    "pd_device_gain": ("pd_device", "gain_by_sense"),
    "pd_device_gain_measured": ("pd_device", "gain_measured"),
    "server_relief": ("feedback", "server_relief"),
    "heat": ("heat", "heat"),
    "regimes_prompts_and_phones": ("regimes", "prompts_and_phones"),
    "regimes_tails_and_joules": ("regimes", "tails_and_joules"),
    "regimes_regret": ("regimes", "regret"),
    "regimes_boundaries": ("regimes", "boundaries"),
    "regimes_loads": ("regimes", "loads"),
    "regimes_engine_loads": ("regimes", "engine_loads"),
}
"""Picture of docs/img -> paper and figure, of the largest profile that is committed, as the tables of the pages are."""


@pytest.mark.parametrize(
    "picture", [pytest.param(name, marks=pytest.mark.long if name.startswith("regimes") else ()) for name in PICTURES]
)
def test_a_picture_of_the_docs_is_the_one_that_the_command_draws(picture: str, tmp_path: Path) -> None:
    """One per cent leaves room for the letters of another matplotlib, and none for other data or another layout."""
    from matplotlib.image import imread

    paper, name = PICTURES[picture]
    experiment = load_experiment(PAPERS / paper)
    source = experiment.file.figures[name]
    tables = committed(experiment, experiment.largest_profile)
    figure = getattr(experiment.code["figures"], source.draw or name)(
        *(tables[t] for t in source.tables), **source.options
    )
    (drawn,) = save(figure, tmp_path / name)
    here, there = (imread(path)[..., :3] for path in (drawn, ROOT / "docs" / "img" / f"{picture}.png"))
    assert here.shape == there.shape, f"copy figures/{name}.png of `discosim figures {paper}` to docs/img/{picture}.png"
    assert np.abs(here - there).mean() < 0.01, f"docs/img/{picture}.png is not what `discosim figures {paper}` draws"


def test_the_picture_of_all_claims_is_the_one_that_the_command_draws(tmp_path: Path) -> None:
    """As above; `discosim claims --role paper --plot docs/img/claims.png` draws it anew."""
    from matplotlib.image import imread

    verdicts = [
        verdict
        for experiment in EXPERIMENTS
        for verdict in judge_all(experiment, read_tables(experiment, None, tmp_path)[0])
    ]
    write_forest([v for v in verdicts if v.claim.role == "paper"], tmp_path / "claims.png")
    here, there = (imread(path)[..., :3] for path in (tmp_path / "claims.png", ROOT / "docs" / "img" / "claims.png"))
    assert here.shape == there.shape
    assert np.abs(here - there).mean() < 0.01


def test_the_artifact_lists_every_claim_with_its_verdict() -> None:
    """If verdicts change on purpose, write the rows of ``claims_table`` there, and say why in the change log."""
    page = (ROOT / "ARTIFACT.md").read_text(encoding="utf-8")
    assert page == with_table(page, claims_table(PAPERS)), "run `python -m discosim.reproduce.artifact`"


def test_a_cheap_claim_is_golden(tmp_path: Path) -> None:
    experiment = load_experiment(PAPERS / "disco")
    context = Context(experiment, "quick", tmp_path, "serial", lambda _: None)
    tables = committed(experiment) | {"speeds": make_table(context, "speeds")}
    assert check(experiment, "quick", tables) == []


def test_a_changed_constant_of_a_real_paper_names_its_claim(tmp_path: Path) -> None:
    folder = tmp_path / "disco"
    shutil.copytree(PAPERS / "disco", folder)
    path = folder / "tables.py"
    text = path.read_text(encoding="utf-8")
    assert '"decode_tok_per_s": 1.0 / median_s' in text
    path.write_text(text.replace('"decode_tok_per_s": 1.0 /', '"decode_tok_per_s": 1.001 /'), encoding="utf-8")
    experiment = load_experiment(folder)
    context = Context(experiment, "quick", tmp_path / "out", "serial", lambda _: None)
    tables = committed(experiment) | {"speeds": make_table(context, "speeds")}
    assert [breach.who for breach in check(experiment, "quick", tables)] == ["claim disco-both-faster-than-reading"]


def test_no_policy_beats_the_race_of_both() -> None:
    """On idle devices and equal luck the earlier of both first tokens is a floor, seed by seed, not only on average."""
    table = committed(load_experiment(PAPERS / "disco"))["bounds"]
    keys = ["service", "device", "budget", "seed"]
    race = table[table["policy"] == "race"].set_index(keys)["ttft_mean_s"]
    for policy, rows in table.groupby("policy"):
        own = rows.set_index(keys)["ttft_mean_s"].reindex(race.index)
        assert (own >= race - 1e-9).all(), policy


def test_one_endpoint_alone_does_not_feel_the_budget() -> None:
    table = committed(load_experiment(PAPERS / "disco"))["bounds"]
    alone = table[table["policy"].isin(["server_only", "device_only", "race"])]
    spread = alone.groupby(["service", "device", "policy", "seed"])["ttft_mean_s"].agg(np.ptp)
    assert (spread == 0.0).all()


def test_the_budget_is_kept_on_average() -> None:
    """Thresholds are learnt, so a run may miss its budget; the mean over services, devices and seeds may not.

    Each of 48 means of 200 prompts has a relative standard error near 10 %; four of those of the mean leave a false
    alarm of one in ten thousand.
    """
    table = committed(load_experiment(PAPERS / "disco"))["bounds"]
    for side, policies in {"server": ("DiSCo-S", "optimal-S"), "device": ("DiSCo-D", "optimal-D")}.items():
        for policy in policies:
            own = table[table["policy"] == policy]
            by_seed = (own[f"budget_used_{side}"] / own["budget"]).groupby(own["seed"]).mean()
            error = by_seed.std(ddof=1) / np.sqrt(len(by_seed))
            assert abs(by_seed.mean() - 1.0) < 4 * error + 0.05, policy


def test_the_shaped_services_are_what_their_recipe_writes() -> None:
    recipe = load_module(PAPERS / "disco", "shaped")
    for name, median_s in recipe.MEDIANS_S.items():
        assert (PAPERS / "disco" / "series" / f"{name}.csv").read_text(encoding="utf-8") == recipe.series(median_s)


def test_the_versions_of_the_committed_tables_are_allowed_ones() -> None:
    import tomllib

    from packaging.requirements import Requirement

    lines = (ROOT / "experiments" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for needed in map(Requirement, project["dependencies"]):
        versions = [version for name, version in pinned.items() if name.lower() == needed.name.lower()]
        assert len(versions) == 1, needed.name
        assert versions[0] in needed.specifier, needed
