"""A folder in a store that fsspec knows (S3, Google's, a disk): whole objects are put, got, listed and removed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.config.commands import pip_install
from experiments.config.mistakes import one_line
from experiments.storage.stored_files import StoreError


class Gone(StoreError):
    """An object has been removed meanwhile."""


class ObjectStore:
    """The objects below a URL, by their names relative to it. Whatever goes wrong is a StoreError, in one line."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def open(self) -> None:
        """Load the packages that it needs, and connect to it.

        Raises:
            StoreError: there is no such package, or no such kind of store.
        """
        _ = self._place

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system of fsspec, and the folder's path in it."""
        try:
            from fsspec.core import url_to_fs

            with self._asking():
                options = {"auto_mkdir": True} if self.url.startswith("file:") else {}
                fs, root = url_to_fs(self.url, **options)
                return fs, root
        except ImportError as error:
            raise StoreError(
                f"{self.url} needs a package: {one_line(error)}. The extra remote has what s3:// needs: "
                f"{pip_install('remote')}"
            ) from None

    def versions(self) -> dict[str, str]:
        """The names of all objects, each with a text that differs once the object does."""
        with self._asking():
            fs, root = self._place
            fs.invalidate_cache()
            found = {
                place.removeprefix(root).lstrip("/"): info for place, info in fs.find(root, detail=True).items()
            }
            return {name: str(info) for name, info in found.items() if name and not name.endswith("/")}

    def read(self, name: str) -> bytes | None:
        """The content of an object; None: it is not there."""
        with self._asking(), suppress(FileNotFoundError):
            fs, root = self._place
            data: bytes = fs.cat_file(f"{root}/{name}")
            return data
        return None

    def create(self, name: str, data: bytes) -> bool:
        """Make an object that must not be there yet; returns whether it was made."""
        with self._asking(), suppress(FileExistsError):
            fs, root = self._place
            fs.pipe_file(f"{root}/{name}", data, mode="create")
            return True
        return False

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Put objects, each whole."""
        with self._asking():
            fs, root = self._place
            fs.pipe({f"{root}/{name}": data for name, data in contents.items()})

    def upload(self, files: Mapping[str, Path]) -> None:
        """Put files, each whole."""
        with self._asking():
            fs, root = self._place
            fs.put([str(path) for path in files.values()], [f"{root}/{name}" for name in files])

    def download(self, files: Mapping[str, Path]) -> None:
        """Get objects into files.

        Raises:
            Gone: another command has removed one of them.
        """
        with self._asking():
            fs, root = self._place
            try:
                fs.get([f"{root}/{name}" for name in files], [str(path) for path in files.values()])
            except FileNotFoundError as error:
                raise Gone(f"{self.url}: {one_line(error)}") from None

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, one after the other; those that are not there are passed over."""
        for name in names:
            with self._asking(), suppress(FileNotFoundError):
                fs, root = self._place
                fs.rm_file(f"{root}/{name}")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Errors of the packages that fsspec loads have no class in common."""
        try:
            yield
        except (StoreError, ImportError):
            raise
        except Exception as error:
            raise StoreError(f"{self.url}: {one_line(error) or type(error).__name__}") from None
