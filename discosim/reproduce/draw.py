"""Drawing a paper's figures, each from its tables alone and in a process of its own."""

from __future__ import annotations

from pathlib import Path

from discosim.reproduce.code import function_of
from discosim.reproduce.experiment import Experiment, load_experiment
from discosim.reproduce.tables import read_csv
from discosim.reproduce.workers import each

FORMATS = ("png", "pdf", "svg")


def draw(experiment: Experiment, profile: str, folder: Path, executor: str = "serial") -> list[Path]:
    """Draw all figures of a paper that belong to a profile.

    Parameters
    ----------
    experiment : Experiment
        The paper.
    profile : str
        ``quick`` or ``paper``.
    folder : Path
        Has the tables in ``tables/``; the figures go to ``figures/``.
    executor : str
        See :func:`discosim.sweep.executors.open_engine`. Where a figure is drawn does not change its bytes.

    Returns
    -------
    list of Path
        The files, in the order of the declaration.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    calls = [(str(experiment.folder.resolve()), name, str(folder.resolve())) for name in _names(experiment, profile)]
    for _ in each(executor, draw_one, calls):
        pass
    return pictures(experiment, profile, folder)


def pictures(experiment: Experiment, profile: str, folder: Path) -> list[Path]:
    """Return the files that `draw` writes."""
    return [folder / "figures" / f"{name}.{suffix}" for name in _names(experiment, profile) for suffix in FORMATS]


def _names(experiment: Experiment, profile: str) -> list[str]:
    return [name for name, source in experiment.file.figures.items() if profile in source.profiles]


def draw_one(paper: str, name: str, folder: str) -> None:
    """Draw one figure in all formats."""
    from discosim.report.style import house_style, save

    experiment, out = load_experiment(Path(paper)), Path(folder)
    source = experiment.file.figures[name]
    function = function_of(experiment.code.get("figures"), source.draw or name, str(experiment.folder / "figures.py"))
    tables = (read_csv(out / "tables" / f"{table}.csv") for table in source.tables)
    figure = function(*tables, **source.options)
    with house_style():  # one layout for all formats: it is most of the work
        figure.draw_without_rendering()
    figure.set_layout_engine(None)  # "none" would leave one that has every format laid out again
    save(figure, out / "figures" / name, FORMATS)
