"""What the pages ask the server for: an endpoint for each kind of request, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mapose.app.projects import OpenProject
from mapose.app.responses import Body
from mapose.app.results import OpenResult
from mapose.app.workspace import Workspace
from mapose.errors import SettingsError


@dataclass(frozen=True)
class Call:
    """A request that was let in.

    Parameters
    ----------
    workspace : Workspace
        What the server knows.
    path, query : dict of str to str
        Parts of the address.
    body : Body or None
        What was sent, checked.
    """

    workspace: Workspace
    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def opened(self) -> OpenProject:
        """The project that the address names."""
        return self.workspace.find_project(self.path["project"])

    @property
    def result(self) -> OpenResult:
        """The result that the address names."""
        return self.workspace.find_result(self.path["place"])

    def read_number(self, name: str, default: int | None = None, *, most: int = 2**31) -> int:
        """Read a whole number, not negative, from the address.

        Raises
        ------
        SettingsError
            If it is missing or none.
        """
        text = self.path.get(name, self.query.get(name, ""))
        if text == "" and default is not None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
            raise SettingsError(f"{name}: wanted a whole number up to {most}, came {text[:40]!r}")
        return int(text)


@dataclass(frozen=True)
class Endpoint:
    """One kind of request.

    Parameters
    ----------
    method : {"GET", "POST"}
    path : str
        With names in braces, as in ``/api/{project}/label``.
    work : function of Call to dict or Binary
        Runs in a thread of its own.
    body : type of Body, optional
        What has to be sent.
    """

    method: str
    path: str
    work: Callable[[Call], Any]
    body: type[Body] | None = None
