"""Numbers in pages, taken from committed tables: marks in Markdown, and what stands between them.

Four marks, all of them comments that no reader of the page sees::

    <!-- claims andes -->           a table of the claims of a folder, or of those whose names follow
    <!-- table                      a table by the mapping of :class:`discosim.reproduce.quoted_table.QuotedTable`
    table: andes/overload ... -->
    <!-- ours andes-a-up-to-3.2 --> our figure of one claim, inside a sentence
    <!-- number {table: ...} -->    any other, by the mapping of :class:`discosim.reproduce.quoted_number.QuotedNumber`

each up to ``<!-- end -->``. Every table comes from the largest profile of which the folder holds all tables.
``python -m discosim.reproduce.quotes PAGE...`` at the top of the repository writes pages anew; a test compares them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from discosim.config.load import build_section
from discosim.config.yaml_loader import read_text
from discosim.core.errors import UserError, close_match
from discosim.core.files import write_whole
from discosim.reproduce.experiment import Experiment, load_experiments
from discosim.reproduce.quoted_number import QuotedNumber, quoted_number
from discosim.reproduce.quoted_table import QuotedTable, quoted_table
from discosim.reproduce.run import committed_tables, judge_all
from discosim.reproduce.tables import read_csv
from discosim.reproduce.text import bounds_text, ours_text
from discosim.reproduce.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

MARK = re.compile(
    r"(?P<open><!-- (?P<kind>claims|table|ours|number)\b(?P<what>.*?)-->)(?P<old>.*?)(?P<close><!-- end -->)", re.DOTALL
)
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
"""Code, in which a mark is an example."""
ANY = re.compile(r"<!-- (?:claims|table|ours|number|end)\b")


class Source:
    """The committed tables of all folders, and the verdicts on them; each is read when it is first asked for.

    Parameters
    ----------
    root : Path
        Folder of all experiments.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tables: dict[tuple[str, str], pd.DataFrame] = {}
        self._verdicts: dict[str, list[Verdict]] = {}

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """Folders by name."""
        return {experiment.name: experiment for experiment in load_experiments(self._root)}

    def experiment(self, name: str, where: str) -> Experiment:
        """Return one folder."""
        if name not in self.experiments:
            raise UserError(f"no experiment '{name}'; {close_match(name, self.experiments)}", where=where)
        return self.experiments[name]

    def table(self, experiment: Experiment, name: str, where: str) -> pd.DataFrame:
        """Return one table of the largest committed profile."""
        if name not in experiment.file.tables:
            raise UserError(f"no table '{name}'; {close_match(name, experiment.file.tables)}", where=where)
        key = (experiment.name, name)
        if key not in self._tables:
            self._tables[key] = read_csv(experiment.committed(experiment.largest_profile, name))
        return self._tables[key]

    def named(self, name: str, where: str) -> tuple[Experiment, pd.DataFrame]:
        """Return folder and table of ``folder/table``."""
        folder, _, table = name.partition("/")
        experiment = self.experiment(folder, where)
        return experiment, self.table(experiment, table, where)

    def verdicts(self, name: str, where: str) -> list[Verdict]:
        """Return the verdicts of one folder."""
        if name not in self._verdicts:
            experiment = self.experiment(name, where)
            self._verdicts[name] = judge_all(experiment, committed_tables(experiment, experiment.largest_profile))
        return self._verdicts[name]


def with_quotes(page: str, source: Source, name: str) -> str:
    """Return the text of a page with every quote as the committed tables have it now.

    Parameters
    ----------
    page : str
        Markdown.
    source : Source
        Tables and verdicts.
    name : str
        Name of the page, for messages.

    Raises
    ------
    UserError
        If a mark has no end, or names what is not there.
    """
    parts, line = [], 1
    for part in FENCED.split(page):
        parts.append(part if FENCED.fullmatch(part) else _filled(part, source, name, line))
        line += part.count("\n")
    return "".join(parts)


def _filled(text: str, source: Source, name: str, line: int) -> str:
    def anew(match: re.Match[str]) -> str:
        where = f"{name}:{line + text.count(chr(10), 0, match.start())}"
        if ANY.search(match["old"]):
            raise UserError("this mark has no <!-- end --> before the next one", where=where)
        return f"{match['open']}{KINDS[match['kind']](match['what'].strip(), source, where)}{match['close']}"

    if stray := ANY.search(MARK.sub("", text)):
        raise UserError(f"'{stray[0]} ...' is not one mark with its <!-- end -->", where=name)
    return MARK.sub(anew, text)


def _claims(what: str, source: Source, where: str) -> str:
    folder, *ids = what.split()
    verdicts = source.verdicts(folder, where)
    known = {verdict.claim.id: verdict for verdict in verdicts}
    for each in ids:
        if each not in known:
            raise UserError(f"no claim '{each}' in {folder}; {close_match(each, known)}", where=where)
    lines = ["| claim | paper (known from) | bounds | here | verdict |", "| --- | --- | --- | --- | --- |"]
    for verdict in [known[each] for each in ids] or verdicts:
        claim = verdict.claim
        cells = (
            f"{claim.says} `{claim.id}`",
            f"{claim.published} ({claim.known_from})",
            bounds_text(verdict),
            ours_text(verdict),
            f"**{verdict.word}**{verdict.text.removeprefix(verdict.word)}",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    profile = source.experiment(folder, where).largest_profile
    return "\n\n" + "\n".join(lines) + f"\n\n*From the committed tables of the {profile} profile.*\n\n"


def _table(what: str, source: Source, where: str) -> str:
    quote = build_section(QuotedTable, read_text(what, where), Path())
    experiment, table = source.named(quote.table, where)
    return "\n\n" + quoted_table(quote, table, where, experiment.code.get("estimators")) + "\n\n"


def _number(what: str, source: Source, where: str) -> str:
    quote = build_section(QuotedNumber, read_text(what, where), Path())
    experiment, table = source.named(quote.table, where)
    try:
        return quoted_number(quote, table, experiment.code.get("estimators"))
    except UserError as error:
        raise UserError(str(error), where=where) from None


def _ours(what: str, source: Source, where: str) -> str:
    for folder, experiment in source.experiments.items():
        if what in {claim.id for claim in experiment.claims.claims}:
            verdicts = source.verdicts(folder, where)
            return next(ours_text(verdict) for verdict in verdicts if verdict.claim.id == what)
    known = [claim.id for experiment in source.experiments.values() for claim in experiment.claims.claims]
    raise UserError(f"no claim '{what}'; {close_match(what, known)}", where=where)


KINDS: dict[str, Callable[[str, Source, str], str]] = {
    "claims": _claims,
    "table": _table,
    "ours": _ours,
    "number": _number,
}


if __name__ == "__main__":
    tables = Source(Path("experiments"))
    for path in map(Path, sys.argv[1:]):
        write_whole(path, with_quotes(path.read_text(encoding="utf-8"), tables, str(path)))
