"""From what several cameras saw to where everybody is in 3D."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from calibration import CameraGroup
from mapose.arrays import Bools, Floats, Image, Singles
from mapose.errors import SettingsError
from mapose.multiview.footage import Footage
from mapose.multiview.matching.identities import match_views
from mapose.multiview.reconstruction.account import Account, Piece, Summary, make_piece
from mapose.multiview.reconstruction.drafting import draft_points, shelve_points
from mapose.multiview.reconstruction.refinement import Fitted, refine_points
from mapose.multiview.stations import join_views, split_views
from mapose.multiview.views import align_views, check_views, list_differences
from mapose.parts import Parts
from mapose.poses import Poses, join_poses
from mapose.shelf import Shelf

Smooth = bool | Literal["rigid"]


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a reconstruction holds; see `Reconstruction`."""

    poses: Poses
    error: Singles
    n_views: Image
    filled: Bools
    views: dict[str, Poses]


class Reconstruction:
    """Poses in 3D, and how good they are; prints itself as a short table.

    Parameters
    ----------
    summary : Summary
        How good it is, in numbers.
    load : function
        Gives the arrays: those of a reconstruction that was written to files are read when they
        are first asked for.

    Attributes
    ----------
    poses : Poses
        3D, in the unit of the calibration, with covariance, and identity if the views have it.
        The confidence is the mean of the views that count; one view counts half, and a point
        that no camera saw has 0.01.
    error : float32, (F, I, K)
        Mean distance in px between the points and what the views that count saw; NaN where
        there is no point or none counts.
    n_views : uint8, (F, I, K)
        Views that count.
    filled : bool, (F, I, K)
        Points that fewer than two cameras saw: they follow from the frames before and after,
        from the bones, and from the one camera.
    views : dict of str to Poses
        The 2D poses with the names that they have in 3D.
    """

    def __init__(self, summary: Summary, load: Callable[[], Arrays]) -> None:
        self.summary, self._load = summary, load

    def __str__(self) -> str:
        return str(self.summary)

    @cached_property
    def _arrays(self) -> Arrays:
        return self._load()

    @property
    def poses(self) -> Poses:
        """Poses in 3D."""
        return self._arrays.poses

    @property
    def error(self) -> Singles:
        """Reprojection errors, px."""
        return self._arrays.error

    @property
    def n_views(self) -> Image:
        """Numbers of views that count."""
        return self._arrays.n_views

    @property
    def filled(self) -> Bools:
        """Which points fewer than two cameras saw."""
        return self._arrays.filled

    @property
    def views(self) -> dict[str, Poses]:
        """The 2D poses of each camera."""
        return self._arrays.views

    @property
    def camera_errors(self) -> dict[str, float]:
        """Median distance in px between the points and what each camera saw of them."""
        return self.summary.camera_errors

    @property
    def camera_shares(self) -> dict[str, float]:
        """Part of what each camera saw that counts."""
        return self.summary.camera_shares

    @property
    def bones(self) -> Floats:
        """Median length of each edge and its standard deviation, float64 (E, 2), in the unit."""
        return self.summary.bones

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth a look."""
        return self.summary.warnings


def triangulate(
    views: Mapping[str, Poses],
    cameras: CameraGroup,
    *,
    smooth: Smooth = True,
    max_gap: int = 10,
    match: bool | None = None,
    lengths: Mapping[tuple[str, str], float] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Reconstruction:
    """Find where everybody is in 3D.

    Each frame is triangulated, views that contradict the others are left out. Then tracks are
    smoothed through time, as far as their own noise asks for it, with bone lengths held that are
    learned from the data; views are judged again by what the smooth track expects.

    Parameters
    ----------
    views : mapping of str to Poses
        2D poses by camera. The same frame number is the same moment; frames and keypoints that a
        view does not list were not seen there.
    cameras : calibration.CameraGroup
        Calibrated; may hold more cameras than there are views. A camera that was moved in
        mid-recording has a station for each place: ``side`` and, from frame 1200 on, ``side@1200``
        (`calibration.add_station`).
    smooth : bool or "rigid"
        Whether to smooth, fill and repair; if not, each frame stands for itself. How much each
        bone varies is learned; "rigid" says that none does, as other tools take for granted.
        Skin, ears and spines do: in 3D labels of a mouse by hand, edges vary by 5 to 22 %.
    max_gap : int
        Longest run of frames in which fewer than two cameras see a point that is filled in;
        longer ones stay missing, and so does what lies before the first and after the last
        frame in which two cameras see it.
    match : bool, optional
        Whether to find out first who is who in all views (`match_views`). By default if any view
        has more than one individual; False trusts the names.
    lengths : mapping of (str, str) to float, optional
        Known distances between keypoints in the unit of the calibration, to check the scale.
    on_progress : callable, optional
        Called with the number of frames done and of all frames.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ShapeError
        If views do not fit each other or the cameras; all faults are listed at once.
    SettingsError
        If a known length shows that the calibration is in another unit.

    Examples
    --------
    >>> from mapose.synthetic import make_scene
    >>> scene = make_scene(1, 60, cameras=3)
    >>> views = {name: scene.truth(name) for name in scene.cameras.names}
    >>> found = triangulate(views, scene.cameras)
    >>> bool(np.nanmax(np.abs(found.poses.points - scene.truth_3d().points)) < 0.1)
    True
    """
    check_views(views, cameras)
    check_manner(smooth, max_gap)
    given, views = views, align_views(views)
    if match or (match is None and any(p.array.shape[1] > 1 for p in views.values())):
        views = match_views(views, cameras)
    views = split_views(views, cameras)
    footage = Footage({name: Parts.of(poses) for name, poses in views.items()}, cameras)
    account = Account(footage, cameras, lengths=lengths)
    with Shelf() as shelf:
        pieces = [
            (piece.poses, piece.error, piece.n_views, piece.filled)
            for piece in reconstruct(
                account, shelf=shelf, manner=(smooth, max_gap), on_progress=on_progress
            )
        ]
    summary = account.close(list_differences(given))
    poses, *support = zip(*pieces, strict=True)
    error, n_views, filled = map(np.concatenate, support)
    joined = join_poses(poses)
    arrays = Arrays(joined, error, n_views, filled, join_views(views, cameras))
    return Reconstruction(summary, lambda: arrays)


def check_manner(smooth: Smooth, max_gap: int) -> None:
    """Raise an error if there is no such smoothing, or such a gap.

    Raises
    ------
    SettingsError
    """
    if smooth not in (True, False, "rigid"):
        raise SettingsError(f"smooth: wanted True, False or 'rigid', came {smooth!r}")
    if max_gap < 0:
        raise SettingsError(f"max_gap: wanted frames, 0 or more, came {max_gap}")


def reconstruct(
    account: Account,
    *,
    shelf: Shelf,
    manner: tuple[Smooth, int],
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Piece]:
    """Find where everybody is, piece after piece; however long the recording, few are in memory.

    Parameters
    ----------
    account : Account
        Of views that were checked and split into stations, the same individuals in all of them;
        takes every piece down.
    shelf : Shelf
        For what waits to be smoothed.
    manner : (bool or "rigid", int)
        smooth and max_gap; see `triangulate`.
    on_progress : callable, optional
        Called with the number of frames done and of all frames.
    """
    (smooth, max_gap), footage = manner, account.footage
    found: Iterator[Fitted]
    if smooth and len(footage) >= 3:
        draft = shelve_points(footage, shelf)
        found = (
            _give_nothing(footage)
            if draft is None
            else refine_points(
                draft,
                footage.head.skeleton.edge_index,
                max_gap=max_gap,
                rigid=smooth == "rigid",
                shelf=shelf,
                on_progress=on_progress,
            )
        )
    else:
        found = draft_points(footage)
    for part in found:
        piece = make_piece(
            footage.read(part.rows),
            part.rows,
            points=part.points,
            covariance=part.covariance,
            used=part.used,
            unit=account.cameras.unit,
        )
        account.add(piece)
        yield piece


def _give_nothing(footage: Footage) -> Iterator[Fitted]:
    """Give the points of a recording that has none."""
    v, i, k = footage.shape
    for rows in footage.cut():
        shape = (rows.stop - rows.start, i, k)
        nowhere = np.full((*shape, 3), np.nan)
        yield Fitted(rows, nowhere, np.full((*shape, 3, 3), np.nan), np.zeros((v, *shape), bool))
