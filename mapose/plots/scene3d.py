"""A moment in space: skeletons, their trails, the floor and the cameras around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from mapose.arrays import AnyFloats, Bools, Floats
from mapose.errors import ShapeError
from mapose.parts import Parts
from mapose.plots.colours import find_identity_colours
from mapose.plots.figures import INK, make_plot, take_parts, to_rgb
from mapose.plots.rigs import CameraView, find_frustum, find_upright, level_floor
from mapose.poses import Poses
from mapose.similarity import find_centres

# From the side and above, as one looks at an arena that stands on a table.
_ELEVATION, _AZIMUTH = 28.0, -62.0
_CAMERA = "#2f6296"
# So many frames tell where the floor is.
SAMPLE = 2000


def plot_scene_3d(
    poses: Poses | Parts,
    *,
    cameras: Iterable[CameraView] = (),
    frame: int | None = None,
    trail: int = 60,
    filled: Bools | None = None,
    view: tuple[float, float] = (_ELEVATION, _AZIMUTH),
) -> Figure:
    """Plot a frame in space: skeletons, where they came from, floor and cameras.

    Seen from far away, without perspective, so that lengths can be compared. If the world does
    not stand upright, as when its axes are those of one of the cameras, the scene is turned until
    the cameras do.

    Parameters
    ----------
    poses : Poses or Parts
        3D.
    cameras : CameraGroup or iterable of Camera, optional
        Drawn with their names, as pyramids that open towards what they see, in a panel of its
        own beside the one of the animals.
    frame : int, optional
        Video frame; by default the one in the middle of those in which most is found.
    trail : int
        Frames over which the path of each body centre is drawn; 0 = none.
    filled : bool, (F, I, K), optional
        Keypoints that were filled in, not measured: they are hollow. Parts know it by themselves.
    view : (float, float)
        Elevation and azimuth from which one looks, degrees.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, or two with cameras.

    Raises
    ------
    ShapeError
        If the poses are 2D or empty, `frame` is not among them, or `filled` does not fit.

    Examples
    --------
    >>> from mapose import Skeleton
    >>> walk = Poses(np.random.rand(9, 2, 2, 4), Skeleton(["head", "tail"]), ["ann", "bob"])
    >>> len(plot_scene_3d(walk).axes)
    1
    """
    if poses.dimensions != 3:
        raise ShapeError("scene: wanted poses in 3D, came 2D; use plot_trajectories")
    parts, cameras = take_parts(poses, filled=filled), list(cameras)
    sample, row = _survey(parts)
    row = row if frame is None else _find_row(parts, frame)
    first = int(np.searchsorted(parts.frames, parts.frames[row] - trail))
    near, support = parts.read_supported(slice(first, row + 1))
    points = near.points.astype(np.float64)
    turn = find_turn(cameras, sample)
    scene = _Scene(
        near,
        points=points[-1] @ turn.T,
        hollow=np.asarray(support["filled"], bool)[-1] if "filled" in support else None,
        trails=np.asarray(find_centres(points)) @ turn.T,
        eye=find_eye(*view),
    )
    own = scene.find_box()
    floor = find_floor(sample @ turn.T, own)
    boxes, rig = [_widen(own, 0.08)], []
    if cameras:
        rig = [find_frustum(c, scene.find_middle() @ turn) @ turn.T for c in cameras]
        boxes.insert(0, _widen(_span([*rig, own]), 0.02))
    figure = make_plot(5.4 * len(boxes) + 0.4, 4.6)
    panels = figure.subplots(1, len(boxes), squeeze=False)[0]
    if cameras:
        scene.draw(panels[0], boxes[0], floor, scale=0.4)
        scene.draw_cameras(panels[0], rig, [c.name for c in cameras], floor)
    scene.draw(panels[-1], boxes[-1], floor)
    # Panels are as wide as they are flat, so that all of them are filled at one height.
    shares = [float(np.clip(p.dataLim.width / p.dataLim.height, 0.4, 4)) for p in panels]
    panels[0].get_gridspec().set_width_ratios(shares)
    wide = 5.4 * len(panels)
    figure.set_size_inches(wide + 0.4, float(np.clip(wide / sum(shares) + 0.6, 2.4, 6.5)))
    _write_titles(panels, near, len(near) - 1)
    return figure


def find_turn(cameras: list[CameraView], sample: Floats) -> Floats:
    """Find the rotation, (3, 3), that makes points (F, I, K, 3) stand upright; none if they do."""
    turn = find_upright(cameras)
    return turn if np.array_equal(turn, np.eye(3)) else level_floor(sample, turn)


def _survey(parts: Parts) -> tuple[Floats, int]:
    """Take points of some frames, (F', I, K, 3), and the middle row of those with most found."""
    if not len(parts):
        raise ShapeError("scene: wanted at least one frame, came poses without any")
    step = 1 + len(parts) // SAMPLE
    taken, counts = [], []
    for rows, poses in zip(parts.cut(), parts, strict=True):
        some = poses.points[-rows.start % step :: step]
        taken.append(some.astype(np.float64))  # a view would hold all
        counts.append((poses.confidence > 0).sum((1, 2)))
    found = np.concatenate(counts)
    best = np.flatnonzero(found == found.max())
    return np.concatenate(taken), int(best[len(best) // 2])


def _find_row(parts: Parts, frame: int) -> int:
    rows = np.flatnonzero(parts.frames == frame)
    if not len(rows):
        raise ShapeError(
            f"frame {frame} is not among the frames {parts.frames[0]} to {parts.frames[-1]}"
        )
    return int(rows[0])


def find_eye(elevation: float = _ELEVATION, azimuth: float = _AZIMUTH) -> Floats:
    """Find right, up and towards the eye as rows (3, 3) of a rotation."""
    e, a = np.radians(elevation), np.radians(azimuth)
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


@dataclass(frozen=True, eq=False)
class _Scene:
    """One frame, in the frame of reference in which it is drawn: z is up."""

    poses: Poses
    points: Floats  # (I, K, 3)
    hollow: Bools | None  # (I, K)
    trails: Floats  # (T, I, 3)
    eye: Floats  # (3, 3)

    def find_middle(self) -> Floats:
        """Find the middle of what is drawn, (3,)."""
        return np.asarray(self.find_box().mean(0))

    def find_box(self) -> Floats:
        """Find the lowest and highest corner of animals and trails, (2, 3)."""
        flat = np.concatenate([self.points.reshape(-1, 3), self.trails.reshape(-1, 3)])
        seen = flat[np.isfinite(flat).all(-1)]
        if not len(seen):
            return np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
        return np.stack([seen.min(0), seen.max(0)])

    def see(self, points: Any) -> Floats:
        """Find where points (..., 3) are on the page, (..., 2)."""
        return np.asarray(np.asarray(points, np.float64) @ self.eye[:2].T)

    def find_order(self, points: Floats) -> float:
        """Find how far in front points are, to draw what is nearer over what is farther."""
        depth = points.reshape(-1, 3) @ self.eye[2]
        span = float(np.ptp(_span([self.find_box()]), axis=0).max()) or 1.0
        return 10 + float(np.nanmean(depth)) / (10 * span)

    def draw(self, axes: Axes, box: Floats, floor: float, scale: float = 1.0) -> None:
        """Draw floor, trails and skeletons into axes that show a box."""
        self._draw_floor(axes, box, floor)
        colours = to_rgb(find_identity_colours(len(self.points)))
        for i, colour in enumerate(colours):
            self._draw_trail(axes, i, colour, scale)
            self._draw_animal(axes, i, colour, floor, scale)
        if self.poses.individuals is not None and scale >= 1:
            self._write_names(axes, box, colours)
        axes.set_aspect("equal", anchor="N")
        axes.margins(0.02)
        axes.autoscale_view()
        axes.set_axis_off()

    def _draw_floor(self, axes: Axes, box: Floats, floor: float) -> None:
        step = find_step(float((box[1, :2] - box[0, :2]).max()))
        low = np.floor(box[0, :2] / step) * step
        high = np.ceil(box[1, :2] / step) * step
        corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        ground = self.see([(x, y, floor) for x, y in corners])
        axes.add_collection(PolyCollection([ground], facecolors="#f4f5f8", linewidths=0, zorder=0))
        lines = [
            [(x, low[1], floor), (x, high[1], floor)]
            for x in np.arange(low[0], high[0] + step / 2, step)
        ]
        lines += [
            [(low[0], y, floor), (high[0], y, floor)]
            for y in np.arange(low[1], high[1] + step / 2, step)
        ]
        self._draw_lines(axes, np.array(lines), colors="#d9dce3", linewidths=0.7, zorder=1)
        # One bar tells the size of a field; numbers at every line would only be noise.
        bar = np.array([[(low[0], low[1], floor), (low[0] + step, low[1], floor)]])
        self._draw_lines(axes, bar, colors=INK, linewidths=1.6, zorder=2)
        x, y = self.see(bar[0].mean(0))
        axes.annotate(
            f"{step:g} {self.poses.unit}", (x, y), xytext=(-3, -4),
            textcoords="offset points", color=INK, fontsize=8, ha="right", va="top",
        )  # fmt: skip

    def _draw_trail(self, axes: Axes, i: int, colour: Any, scale: float) -> None:
        if self.poses.individuals is None and len(self.points) > 1:
            return  # slots have no path: their order changes
        pairs = np.stack([self.trails[:-1, i], self.trails[1:, i]], 1)
        whole = np.isfinite(pairs).all((1, 2))
        fade = np.linspace(0.04, 0.7, len(pairs))[whole]
        shades = [(*colour, a) for a in fade]
        self._draw_lines(axes, pairs[whole], colors=shades, linewidths=1.8 * scale + 0.3, zorder=5)

    def _draw_animal(self, axes: Axes, i: int, colour: Any, floor: float, scale: float) -> None:
        points = self.points[i]
        seen = np.isfinite(points).all(-1)
        if not seen.any():
            return
        order = self.find_order(points[seen])
        limbs = points[self.poses.skeleton.edge_index]
        limbs = limbs[np.isfinite(limbs).all((1, 2))]
        limbs = limbs[np.argsort(limbs.mean(1) @ self.eye[2])]
        shadow = limbs.copy()
        shadow[..., 2] = floor
        round_ends = {"capstyle": "round", "joinstyle": "round"}
        self._draw_lines(
            axes, shadow, colors="#c3c6ce", linewidths=2.6 * scale, zorder=3, **round_ends
        )
        self._draw_lines(
            axes, limbs, colors=[colour], linewidths=2.8 * scale, zorder=order, **round_ends
        )
        hollow = np.zeros_like(seen) if self.hollow is None else self.hollow[i]
        dark = tuple(0.6 * c for c in colour)
        for part, inside in ((seen & ~hollow, dark), (seen & hollow, "white")):
            x, y = self.see(points[part]).T
            axes.scatter(
                x, y, s=16 * scale**2, color=inside, edgecolors=[dark],
                linewidths=1.0 * scale, zorder=order,
            )  # fmt: skip

    def _write_names(self, axes: Axes, box: Floats, colours: Sequence[Any]) -> None:
        """Name the animals above their highest point, one name above another if need be."""
        corners = np.stack(np.meshgrid(*box.T), -1).reshape(-1, 3)
        wide = float(np.ptp(self.see(corners)[:, 0]))
        line, letter = 0.045 * wide, 0.024 * wide
        at = [self.see(p[np.isfinite(p).all(-1)]) for p in self.points]
        tops = {i: p[np.argmax(p[:, 1])] + [0, 0.4 * line] for i, p in enumerate(at) if len(p)}
        taken: list[tuple[float, float, float]] = []  # middle, bottom, half width
        for i, (x, y) in sorted(tops.items(), key=lambda item: float(item[1][1])):
            half = 0.5 * letter * len(self.poses.names[i])
            while any(abs(x - a) < half + h and abs(y - b) < line for a, b, h in taken):
                y += 0.25 * line
            taken.append((x, y, half))
            axes.text(
                x, y, self.poses.names[i], color=tuple(0.6 * c for c in colours[i]),
                fontsize=8.5, fontweight="bold", ha="center", va="bottom", zorder=30,
            )  # fmt: skip

    def draw_cameras(
        self, axes: Axes, frusta: Sequence[Floats], names: Sequence[str], floor: float
    ) -> None:
        """Draw pyramids (5, 3), the tip first, what they are called and where they stand."""
        middle = self.see(np.mean([f[0] for f in frusta], axis=0))
        for frustum, name in zip(frusta, names, strict=True):
            tip, corners = frustum[0], frustum[1:]
            order = self.find_order(frustum)
            foot = np.array([tip[0], tip[1], floor])
            self._draw_lines(
                axes, np.array([[tip, foot]]), colors="#9aa3b0", linewidths=0.7,
                linestyles=(0, (2, 2)), zorder=4,
            )  # fmt: skip
            axes.plot(*self.see(foot), ".", markersize=3, color="#9aa3b0", zorder=4)
            sides = [self.see([tip, corners[j], corners[(j + 1) % 4]]) for j in range(4)]
            axes.add_collection(
                PolyCollection(
                    [*sides, self.see(corners)],
                    facecolors=(0.19, 0.40, 0.62, 0.10),
                    edgecolors=(0.19, 0.40, 0.62, 0.8),
                    linewidths=0.8,
                    zorder=order,
                )
            )
            x, y = self.see(tip)
            axes.plot(x, y, "o", markersize=3.8, color=_CAMERA, zorder=order)
            side = 1 if x >= middle[0] else -1
            axes.annotate(
                name, (x, y), xytext=(6 * side, 3), textcoords="offset points",
                color=_CAMERA, fontsize=8, ha="left" if side > 0 else "right", zorder=30,
            )  # fmt: skip
        axes.autoscale_view()

    def _draw_lines(self, axes: Axes, segments: Floats, **style: Any) -> None:
        if len(segments):
            axes.add_collection(LineCollection(list(self.see(segments)), **style))


def find_floor(points: AnyFloats, box: Floats) -> float:
    """Choose the height of the floor: 0 if the animals stand there, else that of the lowest."""
    heights = points[..., 2][np.isfinite(points[..., 2])]
    if not heights.size:
        return 0.0
    low = float(np.percentile(heights, 0.5))
    return 0.0 if abs(low) < 0.1 * float((box[1] - box[0]).max()) else low


def find_step(length: float) -> float:
    """Choose the side of the floor's fields: 1, 2 or 5 times a power of ten, 5 to 12 fields."""
    rough = max(length, 1e-9) / 8
    power = 10.0 ** np.floor(np.log10(rough))
    return float(power * min((1, 2, 5, 10), key=lambda m: abs(np.log(m * power / rough))))


def _span(parts: Sequence[Floats]) -> Floats:
    """Find the box around points, (2, 3)."""
    flat = np.concatenate([np.reshape(p, (-1, 3)) for p in parts])
    return np.stack([flat.min(0), flat.max(0)])


def _widen(box: Floats, share: float) -> Floats:
    """Make a box larger on all sides by a share of its longest one."""
    margin = share * max(float((box[1] - box[0]).max()), 1e-9)
    return np.stack([box[0] - margin, box[1] + margin])


def _write_titles(panels: Sequence[Axes], poses: Poses, row: int) -> None:
    frame = int(poses.frames[row])
    text = f"Frame {frame}"
    if poses.rate:
        text += f", {frame / poses.rate:.2f} s"
    style: dict[str, Any] = {"fontsize": 9.5, "color": INK, "fontweight": "bold"}
    panels[-1].set_title(text, loc="left", **style)
    if len(panels) > 1:
        panels[0].set_title("Cameras", loc="left", **style)
