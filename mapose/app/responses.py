"""What may be sent, what is given back, and the two ways in which that is refused."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from mapose.errors import MaposeError

#: Years, as browsers count what never changes, in seconds.
FOREVER = 31_536_000


class Body(BaseModel):
    """What a page sends; anything that is not named is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class UnknownError(MaposeError):
    """What was asked for is not there, or not any more."""


class ForbiddenError(MaposeError):
    """What was asked for lies outside the folders that the server may show."""


@dataclass(frozen=True)
class Binary:
    """Bytes that are not JSON: an image, poses, a file.

    Parameters
    ----------
    data : bytes
    kind : str
        Media type.
    etag : str
        Names the content; empty where it may change.
    """

    data: bytes
    kind: str
    etag: str = ""
