"""Pictures inside the page: small in the text, at full size on demand, on a dark sheet in the dark."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from discosim.core.errors import UserError
from discosim.report.html.markup import Html, join, tag

PNG_START = b"\x89PNG\r\n\x1a\n"
MAX_PICTURE_BYTES = 8_000_000


def anchor(kind: str, name: str) -> str:
    """Return the anchor of something with a name; whatever is no letter or digit becomes a hyphen.

    Examples
    --------
    >>> anchor("figure", "mean TTFT (S)")
    'figure-mean-TTFT-S'
    """
    return f"{kind}-{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}"


def picture_names(folder: Path) -> list[str]:
    """Return the pictures of a folder that can be shown, in their order."""
    return [path.stem for path in sorted(folder.glob("*.png"))]


def pictures(
    folder: Path, belongs: Mapping[str, Sequence[object]] | None = None, words: Mapping[str, str] | None = None
) -> Html:
    """Return the pictures of a folder inside the page; files that are none, or huge, are named instead.

    Parameters
    ----------
    folder : Path
        Its PNG files are shown.
    belongs : mapping of str to sequence, optional
        Name of a picture -> links to what it bears on.
    words : mapping of str to str, optional
        Name of a picture -> what it shows, for its caption and for those who cannot see it.
    """
    parts = []
    for path in sorted(folder.glob("*.png")):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
        if not content.startswith(PNG_START) or len(content) > MAX_PICTURE_BYTES:
            parts.append(tag("p", f"{path.name} is no picture that can be shown here."))
            continue
        links = (belongs or {}).get(path.stem, ())
        parts.append(_figure(path, content, links, (words or {}).get(path.stem, "")))
    return tag("div", *parts, class_="gallery") if parts else join()


def _figure(path: Path, content: bytes, links: Sequence[object], words: str) -> Html:
    """Return one picture. Its link shows it at full size by style alone; a script makes a dialog of it."""
    name, small, large = path.stem.replace("_", " "), anchor("figure", path.stem), anchor("large", path.stem)
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    alt = f"Figure: {name}{f', {words}' if words else ''}"
    picture = tag("img", src=source, alt=alt, width=_size(content, 0), height=_size(content, 1))
    frame = tag(
        "div",
        tag("a", "Close", href=f"#{small}", class_="close"),
        tag("a", picture, href=f"#{large}", class_="enlarge", data_name=name, title="at full size"),
        id=large,
        class_="frame",
    )
    caption: list[object] = [tag("strong", name), f"{': ' + words if words else ''}."]
    if links:
        caption += [" Bears on ", *_with_commas(links), "."]
    return tag("figure", frame, tag("figcaption", *caption), id=small)


def _size(content: bytes, which: int) -> int | None:
    """Return width or height of a PNG from its header, so that the page does not jump when it is decoded."""
    start = 16 + 4 * which
    return int.from_bytes(content[start : start + 4], "big") if content[12:16] == b"IHDR" else None


def _with_commas(parts: Sequence[object]) -> list[object]:
    return [each for k, part in enumerate(parts) for each in ((", ", part) if k else (part,))]
