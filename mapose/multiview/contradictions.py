"""Views that contradict their cameras: exchanged, mirrored, turned, cropped or of another size.

What a calibration says of a camera is held against what that camera's file shows. A view that
does not fit the others gets a sentence with its numbers, and if a simple change of its pixels
makes it fit, that change is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from calibration import Camera, CameraGroup, find_undistorted, triangulate_points
from mapose.arrays import Bools, Floats, Ints

# Median distance in px between a view and the points, over the diagonal of the picture, that
# real recordings do not reach: 0.7 % on the tails of mouse_4cam, which each camera's labels set
# elsewhere, 0.9 % on people_4cam with the worse of its calibrations.
_FAR = 0.011
# A camera of which less counts, or that is this many times worse than the others, is odd.
_SHARE, _WORSE, _LEAST = 0.55, 8.0, 0.003
# Share of keypoints outside the picture, by this much of its size; people reach over the rim.
_OUTSIDE, _BEYOND = 0.15, 0.02
# Distortion that was taken out of the pictures is told if it moves pixels by this much, over the
# diagonal: less hardly moves points.
_STRAIGHT = 0.002
# Frames that are looked at.
_FRAMES = 200
# A change explains a view if it lowers the distance to this share, and below `_FAR`; a shift
# of any size has to be better than other changes by this factor.
_EXPLAINS, _SIMPLER = 0.35, 1.5
# Sizes over those of the calibration at which recordings are made.
_SCALES = (1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2.0, 3.0)
# What another tool may mean by rotation and translation: words, whether the rotation is to be
# inverted, whether the translation is the place of the camera, and the signs of its axes.
_UPRIGHT, _TURNED = np.array([1.0, 1, 1]), np.array([1.0, -1, -1])
_POSES = (
    ("its pose is camera to world, not world to camera", True, True, _UPRIGHT),
    ("its translation is the place of the camera", False, True, _UPRIGHT),
    ("its rotation is transposed", True, False, _UPRIGHT),
    ("it looks along -z, with y up, as in OpenGL and Blender", False, False, _TURNED),
    ("its pose is camera to world, looking along -z, as in Blender", True, True, _TURNED),
)
# Points farther away than this many sizes of the rig are at infinity.
_REACH = 1000.0
# Cameras among which those that agree are looked for.
_MOST = 8

Change = tuple[str, Floats]


def find_contradictions(
    cameras: CameraGroup, pixels: Floats, points: Floats, used: Bools
) -> list[str]:
    """Say which views do not fit their cameras, and why if that can be told.

    Parameters
    ----------
    cameras : calibration.CameraGroup
        V of them.
    pixels : float64, (V, F, I, K, 2)
        What they saw, px; NaN = not seen. Individuals need not be the same in all views.
    points : float64, (F, I, K, 3)
        What was made of it; NaN = nothing.
    used : bool, (V, F, I, K)
        Views that count for each point.

    Returns
    -------
    list of str
        One sentence for each contradiction; empty for views that fit.
    """
    rim = Rim(cameras)
    rim.add(pixels)
    rows = pick_frames(pixels.shape[1])
    return [
        *rim.list_outside(),
        *list_undistorted(cameras, pixels),
        *compare_views(cameras, pixels[:, rows], points[rows], used[:, rows]),
    ]


def pick_frames(count: int) -> Ints:
    """Pick the frames, spread evenly, in which `compare_views` compares them."""
    return np.unique(np.linspace(0, count - 1, _FRAMES).astype(int))[: max(count, 0)]


def compare_views(cameras: CameraGroup, some: Floats, points: Floats, used: Bools) -> list[str]:
    """Say which views do not fit, from some frames; see `find_contradictions`."""
    said: list[str] = []
    names = cameras.names
    seen = np.asarray(np.isfinite(some).all(-1))
    error = measure_views(cameras, some, points)
    shared = seen & (seen.sum(0) > 1)  # what one view alone sees contradicts nothing
    share = (used & shared).sum((1, 2, 3)) / np.maximum(shared.sum((1, 2, 3)), 1)
    limit = _FAR * np.array([np.hypot(*camera.size) for camera in cameras])
    kept = measure_views(cameras, np.where(used[..., None], some, np.nan), points)
    odd = [
        v for v in range(len(names)) if shared[v].any() and _is_odd(v, error, kept, share, limit)
    ]
    if not odd:
        return said
    if change := _explain_all(cameras, some, limit):
        told = ", ".join(f"{names[v]} {kept[v]:.0f} px" for v in odd if np.isfinite(kept[v]))
        return [*said, f"no view fits the calibration ({told or 'nothing counts'}){change}"]
    trusted = _find_agreeing(cameras, some, limit)
    if not trusted and (pair := _find_exchanged(cameras, some, limit)):
        one, two = (f"{names[v]} ({error[v]:.0f} px)" for v in pair)
        return [
            *said,
            f"{one} and {two} do not fit the others: they would if their files were exchanged",
        ]
    # Those that agree without the odd ones were misled by them; if all do, all are told.
    blamed = [v for v in odd if v not in trusted or len(trusted) < 3] or odd
    for v in blamed:
        others = [u for u in trusted if u != v]
        expected = _expect(cameras, some, others)
        far, hint = (error[v] if share[v] < _SHARE else kept[v]), ""
        if expected is not None:
            cropped = len(others) >= min(len(cameras) - 1, 3)
            hint = _explain(cameras, v, some[v], expected, limit=limit[v], cropped=cropped)
            if not np.isfinite(far):
                far = _compare(cameras.cameras[v].project(expected), some[v])[0]
        numbers = f"{far:.0f} px" if np.isfinite(far) else "nowhere near, none within reach"
        said.append(
            f"{names[v]} does not fit its camera and the others: what it saw is {numbers} from "
            f"the points (median), {100 * share[v]:.0f} % of it counts"
            f"{hint or '; is it the file of this camera, as it was calibrated, and in time?'}"
        )
    return said


def _is_odd(v: int, error: Floats, kept: Floats, share: Floats, limit: Floats) -> bool:
    others = np.delete(kept, v)
    others = others[np.isfinite(others)]
    usual = float(np.median(others)) if len(others) else np.inf
    far = np.nan_to_num(kept[v])
    worse = far > max(_WORSE * usual, _LEAST / _FAR * limit[v])
    return bool(far > limit[v] or worse or share[v] < _SHARE)


class Rim:
    """Counts the keypoints that lie outside their camera's picture, some frames after others."""

    def __init__(self, cameras: CameraGroup) -> None:
        self._cameras = cameras
        self._seen, self._outside = np.zeros((2, len(cameras)), np.int64)
        self._far, self._reach = np.zeros((len(cameras), 2)), np.full(len(cameras), -1.0)

    def add(self, pixels: Floats) -> None:
        """Count those of some more frames, float64 (V, F, I, K, 2)."""
        for v, (camera, own) in enumerate(zip(self._cameras, pixels, strict=True)):
            own = own[np.isfinite(own).all(-1)]
            if not len(own):
                continue
            size = np.array(camera.size)
            outside = ((own < -_BEYOND * size) | (own > (1 + _BEYOND) * size - 1)).any(-1)
            self._seen[v] += len(own)
            self._outside[v] += outside.sum()
            reach = np.abs(own - size / 2).max(-1)
            farthest = reach.argmax()
            if reach[farthest] > self._reach[v]:
                self._reach[v], self._far[v] = reach[farthest], own[farthest]

    def list_outside(self) -> Iterator[str]:
        """Say in which views keypoints lie outside the camera's picture."""
        share = self._outside / np.maximum(self._seen, 1)
        for camera, part, far in zip(self._cameras, share, self._far, strict=True):
            if part > _OUTSIDE:
                yield (
                    f"{camera.name}: {100 * part:.0f} % of its keypoints lie outside the "
                    f"{camera.size[0]} x {camera.size[1]} pixels of its camera, as far as "
                    f"({far[0]:.0f}, {far[1]:.0f}): was it recorded at another size than it was "
                    "calibrated?"
                )


def list_undistorted(cameras: CameraGroup, pixels: Floats) -> Iterator[str]:
    """Say that the distortion of the lenses is not in the pixels."""
    found = find_undistorted(cameras, pixels)
    size = np.mean([np.hypot(*camera.size) for camera in cameras])
    if found and found[1] - found[2] > _STRAIGHT * size:
        yield (
            f"the views fit to {found[1]:.1f} px with the lenses as calibrated, to {found[2]:.1f} "
            "px without their distortion: was it taken out of the pictures before? Then the "
            "calibration should have none either"
        )


def measure_views(
    cameras: Sequence[Camera] | CameraGroup, pixels: Floats, points: Floats
) -> Floats:
    """Find the median distance (V,) in px between points and what each camera saw; NaN = none."""
    found = np.full(len(cameras), np.nan)
    for v, camera in enumerate(cameras):
        apart = np.linalg.norm(camera.project(points) - pixels[v], axis=-1)
        apart = apart[np.isfinite(apart)]
        found[v] = np.median(apart) if len(apart) else np.nan
    return found


def _expect(cameras: CameraGroup, pixels: Floats, trusted: Sequence[int]) -> Floats | None:
    """Triangulate from some cameras: points (F, I, K, 3); None if there are fewer than two."""
    if len(trusted) < 2:
        return None
    group = CameraGroup([cameras.cameras[u] for u in trusted])
    return triangulate_points(group, pixels[list(trusted)]).points


def _find_agreeing(cameras: CameraGroup, pixels: Floats, limit: Floats) -> list[int]:
    """Find the largest set of cameras that agree with each other."""
    seeing = [v for v in range(len(cameras)) if np.isfinite(pixels[v]).any()][:_MOST]
    for count in range(len(seeing) - 1, 1, -1):
        scores = {}
        for chosen in combinations(seeing, count):
            group = CameraGroup([cameras.cameras[v] for v in chosen])
            own = pixels[list(chosen)]
            points = triangulate_points(group, own, robust=False).points
            apart = measure_views(group, own, points) / limit[list(chosen)]
            if np.isfinite(apart).all():
                scores[chosen] = float(apart.max())
        if scores:
            best = min(scores, key=lambda key: scores[key])
            if scores[best] < 1:
                return list(best)
    return []


def _find_exchanged(cameras: CameraGroup, pixels: Floats, limit: Floats) -> tuple[int, int] | None:
    """Find the two views whose exchange makes all agree."""
    best, found = 1.0, None
    for pair in combinations(range(min(len(cameras), _MOST)), 2):
        order = np.arange(len(cameras))
        order[list(pair)] = pair[::-1]
        far = _measure_whole(cameras, pixels[order], limit)
        if far < best:
            best, found = far, pair
    return found


def _list_changes(camera: Camera) -> list[Change]:
    """List what may have been done to a camera's pictures: words, and matrix (2, 3) of pixels."""
    width, height = camera.size
    right, down = width - 1.0, height - 1.0
    changes: list[Change] = [
        ("mirrored left to right", np.array([[-1.0, 0, right], [0, 1, 0]])),
        ("mirrored upside down", np.array([[1.0, 0, 0], [0, -1, down]])),
        ("turned by 180 degrees", np.array([[-1.0, 0, right], [0, -1, down]])),
        ("turned by 90 degrees clockwise", np.array([[0.0, -1, down], [1, 0, 0]])),
        ("turned by 90 degrees anticlockwise", np.array([[0.0, 1, 0], [-1, 0, right]])),
        ("transposed", np.array([[0.0, 1, 0], [1, 0, 0]])),
    ]
    for x, y in [*((s, s) for s in _SCALES), *((s, 1.0) for s in _SCALES), (1.0, 0.5), (1.0, 2.0)]:
        words = f"{x:.3g} times as large" if x == y else f"{x:.3g} times as wide"
        words = f"{y:.3g} times as high" if x == 1 else words
        # The upper left corner of the picture stays where it is.
        changes.append((words, np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5]])))
    return changes


def _explain(
    cameras: CameraGroup, v: int, seen: Floats, points: Floats, *, limit: float, cropped: bool
) -> str:
    """Name the change of its pixels, or the other camera, that makes a view fit; else ""."""
    camera = cameras.cameras[v]
    expected = camera.project(points)
    before, shift = _compare(expected, seen)
    found: list[tuple[float, str]] = []
    for words, matrix in _list_changes(camera):
        moved = expected @ matrix[:, :2].T + matrix[:, 2]
        found.append((_compare(moved, seen)[0], f"if its picture was {words}"))
    for other in cameras:
        if other.name != camera.name:
            apart = _compare(other.project(points), seen)[0]
            found.append((apart, f"if it is the view of {other.name}: files exchanged?"))
    for words, other in _list_poses(camera):
        found.append((_compare(other.project(points), seen)[0], f"if {words}"))
    if cropped:
        after = _compare(expected + shift, seen)[0]
        place = f"({shift[0]:.0f}, {shift[1]:.0f}) px"
        found.append((after * _SIMPLER, f"if its picture was moved by {place}, as by cropping"))
    best, words = min(found)
    best /= _SIMPLER if "cropping" in words else 1
    return (
        f"; it would fit to {best:.1f} px {words}" if best < min(limit, _EXPLAINS * before) else ""
    )


def _compare(expected: Floats, seen: Floats) -> tuple[float, Floats]:
    """Compare pixels (F, I, K, 2) with what was seen (F, J, K, 2): distance, and median shift.

    Each animal that is seen is compared with the nearest one that is expected.
    """
    apart = seen[:, None] - expected[:, :, None]  # (F, I, J, K, 2)
    distance = np.linalg.norm(apart, axis=-1)
    there = np.isfinite(distance)
    mean = np.where(there, distance, 0).sum(-1) / np.maximum(there.sum(-1), 1)
    mean[~there.any(-1)] = np.inf
    nearest = mean.argmin(1)  # (F, J)
    index = np.arange(len(seen))[:, None], nearest, np.arange(seen.shape[1])[None]
    pairs = apart[index]
    pairs = pairs[np.isfinite(pairs).all(-1)]
    if not len(pairs):
        return np.inf, np.zeros(2)
    return float(np.median(np.linalg.norm(pairs, axis=-1))), np.median(pairs, axis=0)


def _explain_all(cameras: CameraGroup, pixels: Floats, limit: Floats) -> str:
    """Name a change of all views alike that makes them fit each other; else ""."""
    before = _measure_whole(cameras, pixels, limit)
    found = []
    for scale in _SCALES:
        changed = (pixels + 0.5) / scale - 0.5
        words = f"all pictures were {scale:.3g} times as large as calibrated"
        found.append((_measure_whole(cameras, changed, limit), words))
    widths = np.array([camera.size[0] for camera in cameras]).reshape(-1, 1, 1, 1)
    heights = np.array([camera.size[1] for camera in cameras]).reshape(-1, 1, 1, 1)
    mirrored = np.stack([widths - 1 - pixels[..., 0], pixels[..., 1]], -1)
    found.append((_measure_whole(cameras, mirrored, limit), "all were mirrored left to right"))
    turned = np.stack([widths - 1 - pixels[..., 0], heights - 1 - pixels[..., 1]], -1)
    found.append((_measure_whole(cameras, turned, limit), "all were turned by 180 degrees"))
    for which in range(len(_POSES)):
        listed = [_list_poses(camera)[which] for camera in cameras]
        group = CameraGroup([camera for _, camera in listed])
        found.append((_measure_whole(group, pixels, limit), listed[0][0] + ", for all cameras"))
    best, words = min(found)
    return f"; they would if {words}" if best < min(0.7, _EXPLAINS * before) else ""


def _list_poses(camera: Camera) -> list[tuple[str, Camera]]:
    """List the camera as it is if its file means something else by its pose, with words."""
    rotation, translation = camera.rotation_matrix, camera.translation
    found = []
    for words, inverse, place, axes in _POSES:
        turn = axes[:, None] * (rotation.T if inverse else rotation)
        moved = -turn @ translation if place else axes * translation
        found.append((words, replace(camera, rotation=turn, translation=moved)))
    return found


def _measure_whole(cameras: CameraGroup, pixels: Floats, limit: Floats) -> float:
    """Find how far all views are from agreeing, in units of what is bearable."""
    points = triangulate_points(cameras, pixels, robust=False).points
    centres = np.stack([camera.centre for camera in cameras])
    size = np.linalg.norm(np.ptp(centres, axis=0))
    # Rays that are all but parallel meet somewhere, and anything agrees with that.
    points[np.linalg.norm(points - centres.mean(0), axis=-1) > _REACH * size] = np.nan
    there = np.asarray(np.isfinite(pixels).all(-1))
    wanted = (there & (there.sum(0) > 1)).sum()
    seen = (np.isfinite(cameras.project(points)).all(-1) & there).sum()
    if seen < wanted / 2:
        return np.inf
    apart = measure_views(cameras, pixels, points) / limit
    apart = apart[np.isfinite(apart)]
    return float(apart.max()) if len(apart) else np.inf
