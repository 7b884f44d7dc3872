"""Numbers in pages come from committed tables: each mark by hand, and every page of the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_paper import write_paper

from discosim.core.errors import UserError
from discosim.reproduce.experiment import load_experiment
from discosim.reproduce.quotes import FENCED, Source, with_quotes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COLUMNS = "metric: wait_s, head: 'wait, ms', scale: 1000"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return tables of one paper: two replications of waits 2 and 4 s, and 1 and 3 s."""
    quick = write_paper(tmp_path / "papers") / "tiny" / "expected" / "quick"
    quick.mkdir(parents=True)
    (quick / "waits.csv").write_text(
        "seed,policy,service,wait_s\n0,base,a,2\n1,base,a,4\n0,new,a,1\n1,new,a,3\n", encoding="utf-8"
    )
    (quick / "exact.csv").write_text("seed,policy,n_tok\n0,new,20\n", encoding="utf-8")
    (quick / "timing.csv").write_text("seed,policy,took_ms\n0,new,1.5\n", encoding="utf-8")
    return Source(tmp_path / "papers")


def test_a_table_by_hand(source: Source) -> None:
    """Two values at distance 2 have a half-width of t(0.975, 1) sqrt(2) / sqrt(2) = 12.706; their change has none."""
    mark = (
        "<!-- table\ntable: tiny/waits\nrows: {policy: system}\nnames: {new: ours}\n"
        f"columns: [{{{COLUMNS}}}, {{metric: wait_s, head: less, kind: difference, baseline: base}}]\n-->"
    )
    page = f"Before.\n{mark}\nold\n<!-- end -->\nAfter.\n"
    heads = "| system | wait, ms | less |\n| --- | --- | --- |"
    table = f"{heads}\n| base | 3,000 ± 12,706 |  |\n| ours | 2,000 ± 12,706 | -1 |"
    assert with_quotes(page, source, "page.md") == f"Before.\n{mark}\n\n{table}\n\n<!-- end -->\nAfter.\n"


def test_a_claim_in_a_sentence_and_in_a_table(source: Source) -> None:
    """Waits fall from 3 to 2 s: by 33.3 %. The interval is that of `discosim claims`."""
    page = "Falls by <!-- ours tiny-reduction -->?<!-- end -->.\n<!-- claims tiny tiny-count -->\n<!-- end -->\n"
    text = with_quotes(page, source, "page.md")
    assert "Falls by <!-- ours tiny-reduction -->33.3 % [" in text
    assert "`tiny-count` | 20 (secondary) |" in text
    assert "`tiny-reduction` |" not in text
    assert with_quotes(text, source, "page.md") == text


def test_a_number_in_a_sentence(source: Source) -> None:
    """By hand: 2 and 4 s on average, and 1 and 3 s, so always 1 s less."""
    start = "kind: mean, table: tiny/waits, metric: wait_s"
    page = (
        f"One: <!-- number {{{start}, policy: new, scale: 1000}} --><!-- end -->, "
        f"each: <!-- number {{{start}, policy: new, by: [seed]}} --><!-- end -->, "
        f"most: <!-- number {{{start}, policy: base, by: [seed], pick: largest, is_signed: true}} --><!-- end -->, "
        f"less: <!-- number {{{start.replace('mean', 'difference')}, policy: new, baseline: base}} -->0<!-- end -->."
    )
    text = with_quotes(page, source, "page.md")
    assert re.findall(r"-->(.+?)<!-- end -->", text) == ["2,000 ± 12,706", "1 to 3", "+4", "-1"]
    assert with_quotes(text, source, "page.md") == text


def test_a_column_by_a_function_and_one_of_several_cells(source: Source, tmp_path: Path) -> None:
    (tmp_path / "papers" / "tiny" / "estimators.py").write_text(
        "from discosim.reproduce.estimates import Cell\n\n\ndef most(rows, policy):\n"
        "    value = rows[rows['policy'] == policy]['wait_s'].max()\n    return [Cell('', value, value, value, 1)]\n",
        encoding="utf-8",
    )
    page = (
        "<!-- table\ntable: tiny/waits\nrows: {service: service}\ncolumns:\n"
        "  - {head: most, kind: function, function: most, options: {policy: new}, is_signed: true}\n"
        "  - {head: each, metric: wait_s, policy: new, by: [seed]}\n"
        "  - {head: least, metric: wait_s, policy: new, by: [seed], pick: smallest}\n"
        "  - {head: change, metric: wait_s, kind: change_pct, policy: new, baseline: base, by: [seed]}\n"
        "-->\n<!-- end -->\n"
    )
    assert "| a | +3 | 1 to 3 | 1 | -50 to -25 |" in with_quotes(page, source, "page.md")


def test_the_largest_complete_profile_is_quoted(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "papers" / "tiny"
    assert load_experiment(folder).largest_profile == "quick"
    paper = folder / "expected" / "paper"
    paper.mkdir()
    for name in ("waits", "exact"):
        (paper / f"{name}.csv").write_text((folder / "expected" / "quick" / f"{name}.csv").read_text(), "utf-8")
    assert load_experiment(folder).largest_profile == "quick"
    (paper / "timing.csv").write_text("seed,policy,took_ms\n0,new,1.5\n", encoding="utf-8")
    assert load_experiment(folder).largest_profile == "paper"


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("<!-- ours tiny-redaction -->", "page.md:1: no claim 'tiny-redaction'; did you mean 'tiny-reduction'?"),
        ("<!-- claims tony -->", "page.md:1: no experiment 'tony'; did you mean 'tiny'?"),
        (f"<!-- table\ntable: tiny/wait\nrows: {{policy: x}}\ncolumns: [{{{COLUMNS}}}]\n-->", "no table 'wait'"),
        (
            "<!-- table\ntable: tiny/waits\nrows: {policy: x}\ncolumns: [{metric: wait, head: x}]\n-->",
            "no column 'wait'",
        ),
        ("<!-- table\ntable: tiny/waits\nrow: {policy: x}\n-->", "row"),
        (
            "<!-- number {kind: mean, table: tiny/waits, metric: wait_s, policy: old} -->",
            "page.md:1: table tiny/waits: no",
        ),
        ("<!-- number {kind: mean, table: tiny/waits, metric: wait, policy: new} -->", "no column 'wait'"),
    ],
)
def test_a_wrong_mark_is_named_with_its_place(mark: str, said: str, source: Source) -> None:
    with pytest.raises(UserError) as caught:
        with_quotes(f"{mark}<!-- end -->", source, "page.md")
    assert said in str(caught.value)


def test_a_mark_in_code_is_an_example(source: Source) -> None:
    page = "```markdown\n<!-- ours tiny-redaction -->\n```\n\n<!-- ours tiny-redaction --><!-- end -->"
    assert with_quotes(page.partition("\n\n")[0], source, "page.md") == page.partition("\n\n")[0]
    with pytest.raises(UserError, match=r"page\.md:5: "):
        with_quotes(page, source, "page.md")


@pytest.mark.parametrize("page", ["<!-- ours a -->", "x <!-- end -->", "<!-- ours a --> <!-- ours b -->1<!-- end -->"])
def test_marks_come_in_pairs(page: str, source: Source) -> None:
    with pytest.raises(UserError, match="<!-- end -->"):
        with_quotes(page, source, "page.md")


def test_no_mark_of_a_sentence_begins_a_line() -> None:
    """Markdown would end the paragraph there and take the line as HTML."""
    begins = re.compile(r"^[\s>*-]*<!-- (ours|number)\b", re.MULTILINE)
    assert begins.search("- x\n  <!-- ours a -->1<!-- end -->")
    outside = {page.name: FENCED.sub("", page.read_text(encoding="utf-8")) for page in PAGES}
    assert [name for name, text in outside.items() if begins.search(text)] == []


def test_every_page_says_what_the_committed_tables_say() -> None:
    """`python -m discosim.reproduce.quotes PAGE` writes a page anew."""
    committed = Source(ROOT / "experiments")
    stale = [
        page.name
        for page in PAGES
        if (text := page.read_text(encoding="utf-8")) != with_quotes(text, committed, page.name)
    ]
    assert stale == []
