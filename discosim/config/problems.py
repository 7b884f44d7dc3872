"""All mistakes of one configuration, collected before anything is reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from discosim.config.keypath import KeyPath, dotted
from discosim.core.errors import UserError


class ConfigError(UserError):
    """One or more mistakes in a configuration; its text has one line for each.

    Parameters
    ----------
    problems : sequence of UserError
        The mistakes in the order of the scenario's keys, at least one.
    """

    def __init__(self, problems: tuple[UserError, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[UserError, ...]]]:
        """Travel from a worker process with the mistakes, not with the text made of them."""
        return type(self), (self.problems,)


@dataclass(frozen=True)
class Place:
    """Where a key and its value stand.

    Parameters
    ----------
    key, value : str
        In words such as ``configs/x.yaml:14:9`` or ``--set seed=-1``.
    folders : tuple of Path
        Where a file named there is looked for. A file's own folder for what stands in it; for the command line the
        working directory and then the folder of the configuration. Empty leaves it to whoever reads the document.
    """

    key: str
    value: str
    folders: tuple[Path, ...] = ()


@dataclass
class Problems:
    """Collector of mistakes that knows where each key was written.

    Parameters
    ----------
    places : dict
        Place of every key path that was written somewhere; a path that is not in it (a missing key) is
        reported at its nearest written ancestor.
    """

    places: dict[KeyPath, Place] = field(default_factory=dict)
    found: list[UserError] = field(default_factory=list)

    def folders(self, path: KeyPath) -> tuple[Path, ...]:
        """Return where a file that the value at ``path`` names is looked for: as what wrote the value says."""
        return self._nearest(path).folders

    def add(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note a mistake of the value at ``path``, or of the key itself."""
        place = self._nearest(path)
        text = place.key if at_key or path not in self.places else place.value
        self.found.append(UserError(message, where=" ".join(filter(None, (text, dotted(path))))))

    def raise_if_any(self) -> None:
        """Raise everything that was noted."""
        if self.found:
            raise ConfigError(tuple(self.found))

    def _nearest(self, path: KeyPath) -> Place:
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place("", "")
