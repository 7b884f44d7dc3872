"""Importing a file of the user's and what lies beside it, always from the source as it is now."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from discosim.core.source_code import is_known
from discosim.core.source_files import locate

Texts = dict[str, bytes]
"""Place of a source -> what was read there."""


def module_of(file: Path, content: bytes, texts: Texts | None = None) -> ModuleType:
    """Run the text of a file as a module of its own name, and return it.

    What it imports from its folder is imported from there, whatever another file of the user's has beside it under the
    same name, and anew each time.

    Parameters
    ----------
    file : Path
        Absolute.
    content : bytes
        Its text: what is run is what was fingerprinted.
    texts : dict of str to bytes, optional
        Texts of what lies beside it, which count instead of the files; those that are read are added.
    """
    name = _name_of(file)
    held: Texts = {} if texts is None else texts
    spec = spec_from_file_location(name, file, loader=FreshSource(name, str(file), held))
    assert spec is not None
    module = module_from_spec(spec)
    with _only_beside(file.parent, held):
        code = compile(content, str(file), "exec", dont_inherit=True)
        before = sys.modules.get(name)
        sys.modules[name] = module  # dataclasses look their module up there
        try:
            exec(code, vars(module))  # noqa: S102 - the configuration names this code to be run
        except BaseException:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
            raise
    return module


def _name_of(file: Path) -> str:
    """Return the name under which a file is imported: its own, and what tells it from others of that name."""
    stem = re.sub(r"\W", "_", file.stem)
    return f"own_{stem}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"


@contextmanager
def _only_beside(folder: Path, texts: Texts) -> Iterator[None]:
    """Let names of this folder's modules mean these; its finder stays behind the others, for imports in functions."""
    finder = Beside(folder, texts)
    for held in [one for one in sys.meta_path if isinstance(one, Beside)]:
        sys.meta_path.remove(held)
        for name, module in list(sys.modules.items()):
            if isinstance(getattr(module, "__loader__", None), FreshSource) and not name.startswith("own_"):
                del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.meta_path.append(finder)


class FreshSource(SourceFileLoader):
    """Compiles the source each time: compiled files go by whole seconds, and a hand may be quicker.

    Parameters
    ----------
    fullname, path : str
        The module and its file.
    texts : dict of str to bytes
        Texts that were read already, which count; what is read is added.
    """

    def __init__(self, fullname: str, path: str, texts: Texts) -> None:
        super().__init__(fullname, path)
        self._texts = texts

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of a module."""
        path = self.get_filename(fullname)
        if path not in self._texts:
            self._texts[path] = self.get_data(path)
        code: CodeType = self.source_to_code(self._texts[path], path)
        return code


@dataclass(frozen=True)
class Beside(MetaPathFinder):
    """Finds modules and packages in a folder of the user's.

    Parameters
    ----------
    folder : Path
        Where the file lies that imports them.
    texts : dict of str to bytes
        Texts that were read already.
    """

    folder: Path
    texts: Texts = field(default_factory=dict, compare=False)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - of the protocol
    ) -> ModuleSpec | None:
        """Return where a module is, or None where it is not ours to say."""
        if is_known(fullname):
            return None
        name = fullname.rpartition(".")[2]
        folders = [self.folder] if path is None else [Path(held) for held in path]
        for folder in folders:
            if not folder.is_relative_to(self.folder):
                continue
            package, module = folder / name / "__init__.py", folder / f"{name}.py"
            if package.is_file():
                search = [str(package.parent)]
                loader = FreshSource(fullname, str(package), self.texts)
                return spec_from_file_location(fullname, package, loader=loader, submodule_search_locations=search)
            if module.is_file():
                loader = FreshSource(fullname, str(module), self.texts)
                return spec_from_file_location(fullname, module, loader=loader)
            if (folder / name).is_dir() and (path is not None or locate(fullname) is None):
                spec = ModuleSpec(fullname, None, is_package=True)
                spec.submodule_search_locations = [str(folder / name)]
                return spec
        return None
