"""Parts that all pages share: run conditions, where the inputs come from, the files of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.report.html.markup import Html, badge, details, facts, join, link, table, tag, tagged
from discosim.report.html.page import Section
from discosim.runs.origins import Origin, origins


def machine_facts(run: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return what made a result and how long it took, as run.json knows it."""
    commit = str(run.get("commit") or "")
    code = run.get("code") or {}
    packages = run.get("libraries") or {k: v for k, v in code.items() if k not in {"discosim", "source_sha256"}}
    wall, memory = run.get("wall_s"), run.get("peak_memory_mib")
    return [
        ("command", tag("code", run["command"]) if run.get("command") else ""),
        ("discosim", f"{run.get('discosim', '')}{f' at commit {commit[:12]}' if commit else ''}".strip()),
        ("source", tag("code", f"sha256 {code['source_sha256']}", class_="hash") if "source_sha256" in code else ""),
        ("packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("Python", run.get("python", "")),
        ("host", run.get("platform", "")),
        ("wall time", "" if wall is None else f"{wall:,.1f} s"),
        ("peak memory", "" if memory is None else f"{memory:,.0f} MiB"),
    ]


def inputs_section(*inputs_sha256: Mapping[str, str], notes: Sequence[str] = ()) -> Section:
    """Return where every number that went in comes from, and how it is known."""
    body = []
    if notes:
        body += [
            tag("p", "What the run itself says about its inputs. Amber marks what nobody can look up."),
            tag("ul", *(tag("li", tagged(note)) for note in notes), class_="notes"),
        ]
    found = origins(*inputs_sha256)
    if found:
        rows = [_row(origin) for origin in found]
        head = ("input", "serves as", "how it is known", "source", "licence", "sha256")
        body.append(table(head, rows, "Inputs", flows_on_phones=True))
        body += [_card(origin) for origin in found if origin.card is not None]
    return Section(name="inputs", title="Where the inputs come from", body=join(*body))


def _row(origin: Origin) -> list[object]:
    card = origin.card
    statuses = list(dict.fromkeys(figure.status for figure in origin.figures))
    known = join(*(join(badge(status), " ") for status in statuses)) if statuses else Html("")
    source = origin.note if card is None else card.citation
    return [
        tag("code", origin.name),
        origin.role,
        known if statuses else origin.note,
        source,
        "" if card is None else card.licence,
        tag("code", f"{origin.sha256[:12]}…", title=origin.sha256),
    ]


def _card(origin: Origin) -> Html:
    card = origin.card
    assert card is not None
    known = [
        (tag("code", "all other figures" if figure.name == "*" else figure.name), badge(figure.status), figure.source)
        for figure in origin.figures
    ]
    pairs: list[tuple[str, object]] = [
        ("what", card.title),
        ("source", link(card.origin)),
        ("commit or version", tag("code", card.commit) if card.commit else ""),
        ("licence", card.licence),
        ("cite", card.citation),
        ("raw file", card.raw_file),
        ("raw sha256", tag("code", card.raw_sha256, class_="hash") if card.raw_sha256 else ""),
        ("digest sha256", tag("code", origin.sha256, class_="hash")),
        ("method", card.method),
    ]
    quirks = [tag("ul", *(tag("li", quirk) for quirk in card.quirks))] if card.quirks else []
    return details(
        join(tag("code", origin.name), f": {origin.role}"),
        facts(pairs),
        table(("figure", "known", "from"), known, f"Figures of {origin.name}"),
        *([tag("p", "To be known before trusting it:"), *quirks] if quirks else []),
    )


def files_section(folder: Path, recorded: Mapping[str, Mapping[str, Any]]) -> Html | None:
    """Return the files of a run with their fingerprints; those that are there have been compared already."""
    if not recorded:
        return None
    rows = [
        [
            tag("code", name),
            f"{facts_of_file['bytes']:,}",
            badge("as written", "firm") if (folder / name).is_file() else badge("missing"),
            tag("code", facts_of_file["sha256"], class_="hash"),
        ]
        for name, facts_of_file in recorded.items()
    ]
    body = table(("file", "bytes", "state", "sha256 in run.json"), rows, "Files", flows_on_phones=True)
    return details("Files and their checksums", body)


def config_section(path: Path, words: str = "") -> Html | None:
    """Return the resolved configuration, folded away; None where the folder has none."""
    if not path.is_file():
        return None
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read ({error})", where=str(path)) from None
    body = tag("pre", tag("code", content), tabindex="0", role="region", aria_label="config.yaml")
    return details("Configuration, complete (config.yaml)", *([tag("p", words)] if words else []), body)


def provenance_section(pairs: Sequence[tuple[str, object]], others: Sequence[Html | None] = ()) -> Section:
    """Return who computed this with what: all of it folded away, and printed open."""
    body = join(details("Command, versions, machine", facts(pairs)), *(part for part in others if part is not None))
    return Section(name="provenance", title="How it was made", body=body)
