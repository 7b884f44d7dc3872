"""Object stores (`s3://`, `gs://`, ...) through fsspec: files by name, each written in one step."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from discosim.core.errors import UserError

_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss"})
"""Stores without folders, where to make one might make a bucket of a misspelt name."""
_TAGS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "created", "ino", "size")
"""What stores say of an object that changes with its content."""


@dataclass(frozen=True)
class ObjectStore:
    """What lies below one address.

    Parameters
    ----------
    url : str
        As the user wrote it, without a slash at the end.
    """

    url: str
    _fs: Any
    _root: str

    @classmethod
    def at(cls, url: str) -> ObjectStore:
        """Return the store of an address.

        Raises
        ------
        UserError
            If what speaks its language is not installed, or nobody knows it.
        """
        kind, _, rest = url.partition("://")
        if not (rest := rest.rstrip("/")):
            raise UserError("names no bucket or folder; expected for example s3://bucket/sweep", where=url)
        url = f"{kind}://{rest}"
        try:
            from fsspec.core import url_to_fs

            fs, root = url_to_fs(url)
        except ImportError as error:
            raise UserError(f"needs more packages; pip install 'discosim[cloud]' ({error})", where=url) from error
        except ValueError as error:
            raise UserError(f"cannot be used ({error})", where=url) from error
        return cls(url, fs, str(root).rstrip("/"))

    def listing(self) -> dict[str, str]:
        """Return every object's name below the address, and a text that changes with its content."""
        with self._said("read"):
            self._fs.invalidate_cache()
            found = self._fs.find(self._root, detail=True)
        start = f"{self._root}/"
        return {path[len(start) :]: _tag(info) for path, info in found.items() if path.startswith(start)}

    def read(self, name: str) -> bytes:
        """Return the content of an object."""
        with self._said("read"):
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return content

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write objects, several at once where the store can."""
        with self._said("written"):
            has_folders = self.url.partition("://")[0].lower() not in _FLAT
            for name in files if has_folders else ():
                self._fs.makedirs(f"{self._root}/{name}".rpartition("/")[0], exist_ok=True)
            self._fs.pipe({f"{self._root}/{name}": body for name, body in files.items()})

    def remove(self, names: list[str]) -> None:
        """Remove objects; one that is not there is no error."""
        with self._said("written"):
            for name in names:
                try:
                    self._fs.rm_file(f"{self._root}/{name}")
                except FileNotFoundError:
                    continue

    def probe(self) -> None:
        """Refuse an address that cannot be written, before any time is spent."""
        name = f".probe-{secrets.token_hex(8)}"
        self.write({name: b"x"})
        self.remove([name])

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """Say in one line what a store says."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # each store has errors of its own
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise UserError(f"cannot be {what} ({said})", where=self.url) from error


def _tag(info: Mapping[str, Any]) -> str:
    return " ".join(str(info[key]) for key in _TAGS if info.get(key) is not None)
