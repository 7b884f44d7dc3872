"""What the pages show is true: examples run and print what stands there, links lead somewhere, commands exist."""

from __future__ import annotations

import doctest
import pkgutil
import re
import shlex
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from pages import PAGES, ROOT, anchors_of, blocks_of, links_of, name_of, outputs_of, shell_lines
from tours import TOURS, file_of

import discosim
from discosim import cli, load_scenario, simulate
from discosim.report.figures.timeline import timeline_table
from discosim.traces.catalogue import list_configs

WITH_CODE = [
    page
    for page in PAGES
    if page not in TOURS and any(block.language == "python" or "quickstart" in block.tags for block in blocks_of(page))
]
"""Tours have a test of their own: their blocks are files and commands."""
PACKAGE = Path(discosim.__file__).parent
MODULES = [
    info.name
    for info in pkgutil.walk_packages(discosim.__path__, "discosim.")
    if not info.name.endswith(("__main__", "kernel.kernel")) and "._shipped" not in info.name
]
"""The compiled kernel is a library of C, which only looks like a module."""


# --- examples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_the_examples_of_a_page_run_and_print_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If results change on purpose, say so in the change log and run ``python tests/docs/pages.py``."""
    monkeypatch.chdir(tmp_path)
    for block, printed in outputs_of(page):
        assert block.code.rstrip() == printed.rstrip(), f"{name_of(page)}:{block.line} shows something else"


def test_the_whole_scenarios_of_the_pages_load(tmp_path: Path) -> None:
    """A ``yaml scenario`` block is complete; there is at least the one of the README."""
    blocks = [block for page in PAGES for block in blocks_of(page) if "scenario" in block.tags]
    assert blocks
    for block in blocks:
        path = tmp_path / "scenario.yaml"
        path.write_text(block.code, encoding="utf-8")
        load_scenario(path)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_examples() -> None:
    """The tests above would pass on nothing."""
    assert {name_of(page) for page in WITH_CODE} >= {
        "README.md",
        "docs/how-to/write-a-policy.md",
        "docs/how-to/bring-your-own-trace.md",
    }
    finder = doctest.DocTestFinder()
    assert sum(len(test.examples) for name in MODULES for test in finder.find(import_module(name))) >= 10


def test_the_caption_of_the_timeline_says_what_the_timeline_holds() -> None:
    """Both DiSCo put the same tokens on the screen; what one spends more, by prefill that was thrown away."""
    run = simulate(load_scenario("quickstart", overrides=["replications=1"]))
    table = timeline_table(run.example_tokens, run.requests)  # the request that the picture shows
    own = {name: rows.reset_index(drop=True) for name, rows in table.groupby("policy")}
    shown = ["token_index", "displayed_s"]
    pd.testing.assert_frame_equal(own["DiSCo-S"][shown], own["DiSCo-D"][shown], rtol=0.0, atol=0.0)
    joules = [own[name]["device_energy_j"][0] for name in ("DiSCo-S", "DiSCo-D")]
    caption = f"DiSCo-S takes {100.0 * (joules[0] / joules[1] - 1.0):.0f} % more joules of the phone"
    assert caption in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert own["DiSCo-S"]["device_wasted_prefill_tok"][0] > 0.0
    assert (own["DiSCo-S"]["endpoint"][0], own["DiSCo-D"]["device_wasted_prefill_tok"][0]) == ("server", 0.0)


# --- links and commands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "notebooks").glob("*.py"))], ids=name_of)
def test_paths_in_code_font_exist(page: Path) -> None:
    """A page that names a file of the repository, or of the package, names one that is there."""
    text = page.read_text(encoding="utf-8")
    folders = "configs|docs|discosim|experiments|notebooks|tests|traces|benchmarks"
    named = re.findall(rf"(?<![\w/.<-])((?:{folders})/[\w./-]+)", text)
    named = [name.rstrip("./") for name in named if not name.startswith("discosim/_shipped")]
    assert [name for name in named if not (ROOT / name).exists() and not (PACKAGE / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    for line in shell_lines(page):
        for command in re.split(r"&&|\|", line):
            program, *arguments = shlex.split(command, comments=True)
            if Path(program).name == "discosim":
                options = cli.build_parser().parse_args(arguments)
                assert callable(options.call)
                if config := getattr(options, "config", None):
                    saved = {file_of(block) for block in blocks_of(page)}
                    assert config in {"mine.yaml", *saved, *list_configs()} or (ROOT / config).is_file()


def test_the_readme_opens_with_its_two_commands() -> None:
    """The continuous integration runs both as they stand there."""
    main, tests = [line for line in shell_lines(ROOT / "README.md") if line.startswith("python3 -m venv ")]
    assert main.endswith("/bin/discosim run configs/quickstart.yaml")
    assert tests.endswith("/bin/pytest -n auto")
