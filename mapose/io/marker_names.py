"""Names for files that know markers but no individuals: ``individual:keypoint``, as in Vicon's."""

from __future__ import annotations

from collections.abc import Sequence

from mapose.errors import FormatError
from mapose.parts import Parts
from mapose.poses import Poses


def find_marker_names(poses: Poses | Parts) -> list[str]:
    """Name all keypoints of all individuals, individual by individual.

    Returns
    -------
    list of str, (I * K,)
        Keypoints alone if there is one individual, else ``individual:keypoint``.

    Raises
    ------
    FormatError
        If a name holds a colon itself.
    """
    keypoints = poses.skeleton.keypoints
    odd = [n for n in (*keypoints, *(poses.individuals or ())) if ":" in n]
    if odd:
        raise FormatError(f"names with a colon cannot be written here: {', '.join(odd)}")
    if len(poses.names) == 1:
        return list(keypoints)
    return [f"{name}:{keypoint}" for name in poses.names for keypoint in keypoints]


def split_marker_names(markers: Sequence[str]) -> tuple[list[str] | None, list[str]]:
    """Find individuals and keypoints, if every individual has the same ones.

    Returns
    -------
    individuals : list of str or None
        None if there is one without a name.
    keypoints : list of str
        The markers as they are where they do not come by individuals.

    Examples
    --------
    >>> split_marker_names(["ann:head", "ann:tail", "bob:head", "bob:tail"])
    (['ann', 'bob'], ['head', 'tail'])
    >>> split_marker_names(["head", "tail"])
    (None, ['head', 'tail'])
    """
    individuals = list(dict.fromkeys(m.split(":")[0] for m in markers if m.count(":") == 1))
    keypoints = list(dict.fromkeys(m.split(":")[-1] for m in markers))
    if list(markers) == [f"{i}:{k}" for i in individuals for k in keypoints]:
        return individuals, keypoints
    return None, list(markers)
