"""Pictures as files: whole or not at all, and the same bytes each time."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from discosim.core.errors import UserError, close_match
from discosim.core.files import check_target, write_whole

ENDINGS = ("pdf", "svg", "png", "tex")
_NO_DATES: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}
_CAPTION = {"png": "Description", "pdf": "Subject", "svg": "Description"}


def ending_of(path: Path) -> str:
    """Return what kind of file a name asks for.

    Raises
    ------
    UserError
        If its ending is none that can be written.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise UserError(
            f"ends in none of .{', .'.join(ENDINGS)}; {close_match(ending, ENDINGS) if ending else 'name one'}",
            where=str(path),
        )
    check_target(path)
    return ending


def picture_bytes(figure: Figure, ending: str, caption: str = "") -> bytes:
    """Return a figure as the content of a file, under the settings of matplotlib that hold now.

    It holds neither dates nor versions, and names in an SVG are made from its content, so that equal figures are
    equal bytes on one installation of matplotlib. The caption is kept beside the picture, where readers show it as
    its description.
    """
    buffer = io.BytesIO()
    about = {**_NO_DATES[ending], **({_CAPTION[ending]: caption} if caption else {})}
    with mpl.rc_context({"svg.hashsalt": "discosim"}):
        figure.savefig(buffer, format=ending, metadata=about)
    return buffer.getvalue()


def save_picture(figure: Figure, path: Path, caption: str = "") -> None:
    """Write a figure under a temporary name, then rename it; the ending says as what."""
    write_whole(path, picture_bytes(figure, ending_of(path), caption))
