"""A place named by an fsspec URL, through which machines without a shared folder pass trials on."""

from __future__ import annotations

from uuid import uuid4

import fsspec

from peftlab.core.errors import UserError, first_line
from peftlab.runner.exchanged_folder import ExchangedFolder

URLS = "the URL of a place that fsspec can write and all nodes reach, such as s3://BUCKET/FOLDER"
LOCAL = {"file", "local"}
OF_ONE_PROCESS = {"memory"}


class Exchange:
    """The location that a URL names, through which nodes hand trials on.

    Its methods raise UserError if it cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._where = f"--artifacts {url}"
        protocol, separator, _ = url.partition("://")
        if not separator or protocol in OF_ONE_PROCESS:
            raise UserError("the nodes cannot share this location", where=self._where, allowed=URLS)
        try:
            self._files, root = fsspec.url_to_fs(
                self.url, **({"auto_mkdir": True} if protocol in LOCAL else {})
            )
        except ImportError as error:
            raise UserError(
                f"a package is missing: {first_line(error)}",
                where=self._where,
                remedy=f"pip install what '{protocol}' needs (s3fs for s3), here and on all nodes",
            ) from error
        except Exception as error:  # every file system has errors of its own
            raise self._unusable(error) from error
        self._root = str(root).rstrip("/")

    def folder(self, trial_id: str) -> ExchangedFolder:
        """Return the place of a trial's folder."""
        return ExchangedFolder(
            files=self._files, root=f"{self._root}/{trial_id}", where=f"{self.url}/{trial_id}"
        )

    def leave_note(self) -> str:
        """Return the name of a small file that has been written and could be read."""
        note = f"note-{uuid4().hex}"
        try:
            self._files.pipe_file(self._path(note), note.encode())
        except Exception as error:
            raise self._unusable(error) from error
        self.read_note(note)
        return note

    def read_note(self, note: str) -> None:
        """Read a note, which this machine or another one has left."""
        try:
            if self._files.cat_file(self._path(note)) != note.encode():
                raise OSError("what is read there is not what was written")
        except Exception as error:
            raise self._unusable(error) from error

    def remove_note(self, note: str) -> None:
        """Remove a note."""
        try:
            self._files.rm_file(self._path(note))
        except Exception as error:
            raise self._unusable(error) from error

    def _path(self, note: str) -> str:
        return f"{self._root}/{note}"

    def _unusable(self, error: Exception) -> UserError:
        cause = first_line(error)
        return UserError(f"cannot be used: {cause}", where=self._where, allowed=URLS)
