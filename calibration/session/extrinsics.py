"""Where the cameras stand: board poses seen by two cameras at once, chained over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.alignment import find_similarity
from calibration.arrays import Bools, Floats, Ints
from calibration.boardposes import BoardPoses, find_board_poses, place_board
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.rotations import unturn

# A frame agrees with a pair's transform if the board, carried over from the other camera, comes
# to lie within this share of its own size in the image. Lenses known to 5 % move it by less,
# a pose tilted the wrong way or a false pair of frames by more.
_AGREEING = 0.06
# Frames that propose transforms per pair, and that vote on them; more only repeat each other.
_PROPOSALS, _VOTERS = 25, 100
# Differences between errors of a view's two poses below this many pixels mean little.
_SURELY = 0.1


@dataclass(frozen=True)
class CameraLinks:
    """What pairs of cameras say about each other.

    Parameters
    ----------
    names : tuple of str
        Of the V cameras.
    shared : int, (V, V)
        Frames in which both cameras have a pose of the board.
    agreeing : int, (V, V)
        Those that agree on how the two cameras stand to each other.
    transforms : float64, (V, V, 4, 4)
        ``transforms[a, b]`` carries points from b's frame to a's; NaN without agreement.
    """

    names: tuple[str, ...]
    shared: Ints
    agreeing: Ints
    transforms: Floats

    @property
    def linked(self) -> Bools:
        """Whether frames enough agree, bool (V, V).

        Half of the shared frames and at least three, or all if there are fewer. Synchronous
        videos give above 95 %, mirrored ones or those of different moments below 40 %.
        """
        wanted = np.minimum(self.shared, np.maximum(3, np.ceil(self.shared / 2)))
        return np.asarray((self.shared > 0) & (self.agreeing >= wanted))


@dataclass(frozen=True)
class LinkedCameras:
    """Cameras in one world, before any adjustment.

    Parameters
    ----------
    cameras : CameraGroup
        The world is the frame of `reference`.
    poses : float64, (F, 6)
        Board to world: rotation vector in radians, translation; NaN where no camera has one.
    numbering : int, (V, F)
        Which of the board's `symmetries` each view has to be renumbered by to fit the others.
    links : CameraLinks
        All pairs.
    chain : tuple of (str, str)
        Pairs that were used, from the reference outwards.
    """

    cameras: CameraGroup
    poses: Floats
    numbering: Ints
    links: CameraLinks
    chain: tuple[tuple[str, str], ...]


def find_links(
    cameras: CameraGroup,
    views: Sequence[BoardPoses],
    *,
    board: Floats,
    symmetries: Ints | None = None,
) -> CameraLinks:
    """Find for each pair of cameras how they stand to each other.

    Every shared frame proposes a transform for each of its two times two poses, and for each
    numbering of the corners that looks the same; the proposal that carries the board best from
    one image to the other, over all shared frames, wins.

    Parameters
    ----------
    cameras : CameraGroup
        Only lenses are used.
    views : sequence of BoardPoses
        Of each camera, in all F frames.
    board : float64, (C, 3)
        Corners of the board.
    symmetries : int, (S, C), optional
        Numberings of the corners that no image can tell apart, the usual one first.
    """
    n, outer = len(cameras), _find_outer(board)
    shared, agreeing = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
    transforms = np.full((n, n, 4, 4), np.nan)
    lenses = [_at_origin(camera) for camera in cameras]
    matrices = [_stack_poses(view.rotations, view.translations) for view in views]
    alike = _find_symmetric_poses(board, symmetries)
    # How well a view's second pose fits, relative to its first.
    trust = [np.nan_to_num(v.errors[:, :1] + _SURELY) / (v.errors + _SURELY) for v in views]
    for a in range(n):
        for b in range(a + 1, n):
            both = np.flatnonzero(views[a].found & views[b].found)
            shared[a, b] = shared[b, a] = len(both)
            if len(both):
                in_b = _renumber(matrices[b][both], alike)
                transform, votes = _agree(
                    lenses[a],
                    (matrices[a][both], in_b),
                    (trust[a][both], np.repeat(trust[b][both], len(alike), axis=1)),
                    outer=outer,
                )
                agreeing[a, b] = agreeing[b, a] = votes
                transforms[a, b], transforms[b, a] = transform, invert_poses(transform)
    return CameraLinks(cameras.names, shared, agreeing, transforms)


def link_cameras(
    cameras: CameraGroup,
    board: Floats,
    *,
    pixels: Floats,
    views: Sequence[BoardPoses] | None = None,
    symmetries: Ints | None = None,
    links: CameraLinks | None = None,
) -> LinkedCameras:
    """Place cameras in one world by what they saw of a board at the same moments.

    Pairs of cameras are chained from the best-linked camera outwards, the surest pairs first;
    two cameras need not have seen the board together if others lie between them. Then each
    frame's board gets the pose that fits all cameras that saw it.

    Parameters
    ----------
    cameras : CameraGroup
        V cameras with lenses that are roughly known; their poses are not used.
    board : float64, (C, 3)
        Corners of the board, flat.
    pixels : float64, (V, F, C, 2)
        Where they were seen; NaN = not seen. A frame is the same moment in all cameras.
    views : sequence of BoardPoses, optional
        Of `find_board_poses` for each camera, where they are at hand.
    symmetries : int, (S, C), optional
        Numberings of the corners that no image can tell apart, the usual one first.
    links : CameraLinks, optional
        Of `find_links`, where they are at hand.

    Returns
    -------
    LinkedCameras
        Start for `bundle_adjust`.

    Raises
    ------
    CalibrationError
        If cameras cannot be linked; they are named.
    """
    if pixels.ndim != 4 or len(pixels) != len(cameras):
        raise CalibrationError(
            f"pixels: wanted (cameras, frames, corners, 2) for the {len(cameras)} cameras "
            f"{', '.join(cameras.names)}, came {pixels.shape}"
        )
    if views is None:
        views = [find_board_poses(c, board, pixels=p) for c, p in zip(cameras, pixels, strict=True)]
    links = links or find_links(cameras, views, board=board, symmetries=symmetries)
    to_world, chain = _chain(links)
    placed = [
        replace(camera, rotation=pose[:3, :3], translation=pose[:3, 3])
        for camera, pose in zip(cameras, invert_poses(to_world), strict=True)
    ]
    group = CameraGroup(placed, cameras.unit)
    alike = _find_symmetric_poses(board, symmetries)
    poses, numbering = _choose_board_poses(group, views, board=board, alike=alike)
    return LinkedCameras(group, poses, numbering, links, chain)


def invert_poses(matrices: Floats) -> Floats:
    """Invert rigid transforms (..., 4, 4)."""
    turned = np.swapaxes(matrices[..., :3, :3], -1, -2)
    inverse = np.zeros_like(matrices)
    inverse[..., :3, :3], inverse[..., 3, 3] = turned, 1
    inverse[..., :3, 3] = -np.einsum("...ij,...j->...i", turned, matrices[..., :3, 3])
    return inverse


def _stack_poses(rotations: Floats, translations: Floats) -> Floats:
    matrices = np.zeros((*translations.shape[:-1], 4, 4))
    matrices[..., :3, :3], matrices[..., :3, 3], matrices[..., 3, 3] = rotations, translations, 1
    return matrices


def _find_symmetric_poses(board: Floats, symmetries: Ints | None) -> Floats:
    """Find the motions (S, 4, 4) of the board that bring it to look the same."""
    if symmetries is None:
        return np.eye(4)[None]
    motions = [find_similarity(board, board[order], scale=False) for order in symmetries]
    return _stack_poses(
        np.stack([m.rotation for m in motions]), np.stack([m.translation for m in motions])
    )


def _renumber(poses: Floats, alike: Floats) -> Floats:
    """Add to poses (N, K, 4, 4) those that look the same: (N, K S, 4, 4)."""
    return np.asarray((poses[:, :, None] @ alike).reshape(len(poses), -1, 4, 4))


def _at_origin(camera: Camera) -> Camera:
    return replace(camera, rotation=np.zeros(3), translation=np.zeros(3))


def _find_outer(board: Floats) -> Floats:
    """Pick corners at the rim in four directions; they tell a pose as well as all do."""
    directions = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    return np.asarray(board[np.argmax(board[:, :2] @ directions.T, axis=0)])


def _carry(matrices: Floats, points: Floats) -> Floats:
    return place_board(matrices[..., :3, :3], matrices[..., :3, 3], points)


def _agree(
    lens: Camera, poses: tuple[Floats, Floats], trust: tuple[Floats, Floats], *, outer: Floats
) -> tuple[Floats, int]:
    """Find the transform from b to a that most frames agree on.

    Poses (N, K, 4, 4) in a and in b; how far to trust them (N, K).
    """
    in_a, in_b = poses
    picked = _spread(len(in_a), _PROPOSALS)
    pairs = in_a[picked][:, :, None] @ invert_poses(in_b[picked])[:, None]
    proposals = pairs.reshape(-1, 4, 4)
    weight = (trust[0][picked][:, :, None] * trust[1][picked][:, None]).ravel()
    seen = lens.project(_carry(in_a[:, 0], outer))
    voters = _spread(len(in_a), _VOTERS)
    away = _measure_misfit(lens, proposals, in_b[voters], (outer, seen[voters]))
    votes = (trust[1][voters] / (1 + (away / (_AGREEING / 3)) ** 2)).max(-1)
    best = proposals[np.argmax(weight * votes.sum(1))]
    agrees = _measure_misfit(lens, best[None], in_b, (outer, seen))[0].min(-1) < _AGREEING
    # The mean over the frames that agree, each by its own best pair of poses.
    own = in_a[agrees][:, :, None] @ invert_poses(in_b[agrees])[:, None]
    own = own.reshape(len(own), -1, 4, 4)
    target = _carry(best @ in_b[agrees][:, 0], outer)[:, None]
    there = _carry(own @ in_b[agrees][:, :1], outer)
    nearest = np.argmin(np.linalg.norm(there - target, axis=-1).sum(-1), axis=1)
    kept = own[np.arange(len(own)), nearest]
    if len(kept):
        u, _, vt = np.linalg.svd(kept[:, :3, :3].sum(0))
        best = best.copy()
        best[:3, :3] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        best[:3, 3] = np.median(kept[:, :3, 3], axis=0)
    return best, int(agrees.sum())


def _spread(n: int, most: int) -> Ints:
    """Pick at most so many of n, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _measure_misfit(
    lens: Camera, proposals: Floats, in_b: Floats, target: tuple[Floats, Floats]
) -> Floats:
    """Measure by how much of its size the board lands away: (proposals, N, K)."""
    outer, seen = target
    size = np.linalg.norm(np.ptp(seen, axis=1), axis=-1)
    there = lens.project(_carry(proposals[:, None, None] @ in_b, outer))
    away = np.linalg.norm(there - seen[:, None], axis=-1).mean(-1) / size[:, None]
    return np.asarray(np.nan_to_num(away, nan=np.inf))


def _chain(links: CameraLinks) -> tuple[Floats, tuple[tuple[str, str], ...]]:
    """Chain pairs to a tree of all cameras: camera to world (V, 4, 4), and the pairs used."""
    weight = np.where(links.linked, links.agreeing, 0)
    n = len(weight)
    start = int(np.argmax(np.sqrt(weight).sum(1)))
    to_world = np.full((n, 4, 4), np.nan)
    to_world[start] = np.eye(4)
    inside = np.zeros(n, bool)
    inside[start] = True
    chain = []
    while not inside.all():
        open_pairs = np.where(inside[:, None] & ~inside, weight, 0)
        a, b = np.unravel_index(np.argmax(open_pairs), open_pairs.shape)
        if not open_pairs[a, b]:
            raise CalibrationError(_explain_gap(links, inside))
        to_world[b] = to_world[a] @ links.transforms[a, b]
        inside[b] = True
        chain.append((links.names[a], links.names[b]))
    return to_world, tuple(chain)


def _explain_gap(links: CameraLinks, inside: Bools) -> str:
    if inside.sum() * 2 < len(inside):
        inside = ~inside
    outside = np.flatnonzero(~inside)
    lost = ", ".join(links.names[i] for i in outside)
    rest = ", ".join(name for name, i in zip(links.names, inside, strict=True) if i)
    reasons = []
    for i in outside:
        pairs = [
            f"{links.agreeing[i, j]} of {links.shared[i, j]} frames shared with "
            f"{links.names[j]} agree"
            for j in np.flatnonzero(inside)
            if links.shared[i, j]
        ]
        reasons.append(f"{links.names[i]}: " + ("; ".join(pairs) or "no frame shared with them"))
    return (
        f"cannot link {lost} with {rest}: {'. '.join(reasons)}. Film the board where both see it "
        "at the same moment, and check that the videos start together"
    )


def _choose_board_poses(
    group: CameraGroup, views: Sequence[BoardPoses], *, board: Floats, alike: Floats
) -> tuple[Floats, Ints]:
    """Choose for each frame the board pose in the world that fits all its cameras.

    Returns poses (F, 6) and the numbering of each camera's view (V, F).
    """
    outer = _find_outer(board)
    seen = np.stack(
        [
            _at_origin(c).project(place_board(v.rotations[:, 0], v.translations[:, 0], outer))
            for c, v in zip(group, views, strict=True)
        ]
    )
    size = np.linalg.norm(np.ptp(seen, axis=2), axis=-1)
    best = np.full(seen.shape[1], np.inf)
    chosen = np.full((seen.shape[1], 4, 4), np.nan)
    numbering = np.zeros(size.shape, np.int64)
    for camera, view in zip(group, views, strict=True):
        to_world = invert_poses(_stack_poses(camera.rotation_matrix, camera.translation))
        for k in range(2):
            proposal = to_world @ _stack_poses(view.rotations[:, k], view.translations[:, k])
            there = group.project(_carry(proposal[:, None] @ alike, outer))
            away = np.linalg.norm(there - seen[:, :, None], axis=-1).mean(-1) / size[..., None]
            away = np.nan_to_num(away, nan=1.0)
            # Bounded, so that one camera's wrong pose does not outvote the others.
            share = np.where(np.isfinite(size), np.minimum(away.min(-1), 1.0), 0)
            cost = np.where(np.isfinite(view.errors[:, k]), share.sum(0), np.inf)
            better = cost < best
            best[better], chosen[better] = cost[better], proposal[better]
            numbering[:, better] = np.argmin(away, axis=-1)[:, better]
    return np.concatenate([unturn(chosen[:, :3, :3]), chosen[:, :3, 3]], -1), numbering
