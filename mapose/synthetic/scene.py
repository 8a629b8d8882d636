"""A scene: animals in an arena, seen by cameras, drawn frame by frame, with exact truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from calibration import Camera, CameraGroup, aim_camera, make_ring
from mapose.arrays import Bools, Image, Singles
from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.synthetic.arena import Arena
from mapose.synthetic.backdrop import Backdrop, Light, blur, draw_light, make_backdrop
from mapose.synthetic.bodies import SKELETON
from mapose.synthetic.coats import Appearance, Coat, make_coats
from mapose.synthetic.drawing import draw_animals
from mapose.synthetic.locomotion import Motion, make_motion
from mapose.synthetic.visibility import find_hidden, find_in_view

# Frames whose truth is worked out at once: keeps memory flat for long scenes.
_CHUNK = 2000
_NOISE = 2.6
_QUALITY = 90


@dataclass(frozen=True, eq=False)
class Scene:
    """Several animals in an arena, seen by one or more cameras; made by `make_scene`.

    Any frame of any camera can be drawn on its own and always comes out the same.

    Parameters
    ----------
    motion : Motion
        Where everybody is.
    coats : list of Coat
        Looks of the I animals.
    arena : Arena
        Where they live.
    cameras : calibration.CameraGroup
        Who watches, unit mm.
    rate : float
        Frames per second.
    seed : int
        Of bedding and noise.
    light : Light
        Of the lamp above the arena.
    """

    motion: Motion
    coats: list[Coat]
    arena: Arena
    cameras: CameraGroup
    rate: float
    seed: int
    light: Light = field(default_factory=Light)
    _backdrops: dict[str, Backdrop] = field(default_factory=dict, init=False, repr=False)

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints of the animals."""
        return SKELETON

    @property
    def individuals(self) -> tuple[str, ...]:
        """Names of the I animals."""
        return tuple(f"mouse{i + 1}" for i in range(len(self.coats)))

    def __len__(self) -> int:
        return len(self.motion.joints)

    def film_again(self, n_frames: int, *, seed: int, individuals: int | None = None) -> Scene:
        """Film the same animals in the same arena on another day, under another light.

        Parameters
        ----------
        n_frames : int
            How long.
        seed : int
            Of what they do, the light and the bedding.
        individuals : int, optional
            How many of them, the first ones; all by default.

        Returns
        -------
        Scene
            With the same looks, sizes, arena and cameras.

        Raises
        ------
        ShapeError
            If there are not so many animals.

        Examples
        --------
        >>> monday = make_scene(3, 20, seed=1, appearance="distinct")
        >>> monday.film_again(20, seed=2, individuals=2).individuals
        ('mouse1', 'mouse2')
        """
        count = len(self.coats) if individuals is None else individuals
        if not 1 <= count <= len(self.coats) or n_frames < 1:
            raise ShapeError(
                f"scene: wanted 1 to {len(self.coats)} animals and at least one frame, came "
                f"{count} animals, {n_frames} frames"
            )
        scale = self.motion.scale[:count]
        moves = np.random.default_rng([seed, 3])
        motion = make_motion(self.arena, n_frames, rate=self.rate, scale=scale, rng=moves)
        light = draw_light(np.random.default_rng([seed, 4]))
        return replace(self, motion=motion, coats=self.coats[:count], seed=seed, light=light)

    def draw(self, frame: int, camera: str | None = None) -> Image:
        """Draw one frame.

        Parameters
        ----------
        frame : int
            0 to the length of the scene - 1.
        camera : str, optional
            Name; the first camera by default.

        Returns
        -------
        uint8, (H, W, 3)
            RGB.

        Raises
        ------
        ShapeError
            If there is no such frame.
        """
        if not 0 <= frame < len(self):
            raise ShapeError(f"no frame {frame} in this scene of {len(self)} frames")
        view = self._pick(camera)
        backdrop = self._find_backdrop(view)
        picture = backdrop.picture.copy()
        draw_animals(
            picture,
            self.motion.joints[frame],
            scale=self.motion.scale,
            coats=self.coats,
            camera=view,
            backdrop=backdrop,
        )
        number = self.cameras.names.index(view.name)
        return _expose(picture, np.random.default_rng([self.seed, number, frame]))

    def draw_frames(
        self, camera: str | None = None, frames: Iterable[int] | None = None
    ) -> Iterator[Image]:
        """Draw frames one after the other, each when it is asked for.

        Parameters
        ----------
        camera : str, optional
            Name; the first camera by default.
        frames : iterable of int, optional
            Which; all by default.

        Yields
        ------
        uint8, (H, W, 3)
            RGB.
        """
        for frame in range(len(self)) if frames is None else frames:
            yield self.draw(frame, camera)

    def truth(self, camera: str | None = None, *, occluded: bool = True) -> Poses:
        """Find where a camera sees the keypoints.

        Parameters
        ----------
        camera : str, optional
            Name; the first camera by default.
        occluded : bool
            Whether to keep keypoints that are covered by another animal.

        Returns
        -------
        Poses
            2D in px, exact; confidence 1. Missing are keypoints outside the image or in a box.
        """
        view = self._pick(camera)
        array = np.empty((len(self), len(self.coats), len(SKELETON.keypoints), 3), np.float32)
        for part in self._split():
            points = self.motion.find_keypoints(part)
            array[part, ..., :2] = view.project(points)
            there = find_in_view(points, view, self.arena)
            if not occluded:
                there &= ~find_hidden(self.motion, part, view)
            array[part][~there] = np.nan
        array[..., 2] = 1
        return Poses(array, SKELETON, self.individuals, self.rate)

    def truth_3d(self) -> Poses:
        """Find where the keypoints are in the world: 3D, mm, confidence 1, nothing missing."""
        array = np.ones((len(self), len(self.coats), len(SKELETON.keypoints), 4), np.float32)
        for part in self._split():
            array[part, ..., :3] = self.motion.find_keypoints(part)
        return Poses(array, SKELETON, self.individuals, self.rate, unit="mm")

    def visibility(self, camera: str | None = None) -> Bools:
        """Tell which keypoints a camera sees.

        Not seen is what lies outside the image, in a box, or behind another animal. Keypoints
        that an animal hides with its own body count as seen.

        Parameters
        ----------
        camera : str, optional
            Name; the first camera by default.

        Returns
        -------
        bool, (F, I, K)
            True where seen.
        """
        view = self._pick(camera)
        seen = [
            find_in_view(self.motion.find_keypoints(part), view, self.arena)
            & ~find_hidden(self.motion, part, view)
            for part in self._split()
        ]
        return np.concatenate(seen)

    def _pick(self, camera: str | None) -> Camera:
        return self.cameras.cameras[0] if camera is None else self.cameras[camera]

    def _split(self) -> list[slice]:
        return [slice(s, min(s + _CHUNK, len(self))) for s in range(0, len(self), _CHUNK)]

    def _find_backdrop(self, camera: Camera) -> Backdrop:
        if camera.name not in self._backdrops:
            rng = np.random.default_rng([self.seed, 1])
            self._backdrops[camera.name] = make_backdrop(self.arena, camera, rng, light=self.light)
        return self._backdrops[camera.name]


def make_scene(
    n_animals: int = 3,
    n_frames: int = 600,
    *,
    seed: int = 0,
    rate: float = 25.0,
    appearance: Appearance = "similar",
    arena: Arena | None = None,
    cameras: CameraGroup | int = 1,
) -> Scene:
    """Make a scene of animals that live in an arena.

    Parameters
    ----------
    n_animals : int
        How many.
    n_frames : int
        How long.
    seed : int
        Same seed, same scene; the cameras do not change what happens in it.
    rate : float
        Frames per second.
    appearance : {"identical", "similar", "distinct"}
        See `make_coats`.
    arena : Arena, optional
        By default bedding without boxes, 400 x 300 mm; if the cameras are not given either, it
        grows with more than four animals.
    cameras : calibration.CameraGroup or int
        Who watches, or how many as `make_cameras` sets them up.

    Raises
    ------
    ShapeError
        If fewer than one animal or frame is wanted, or the rate is not above 0.

    Examples
    --------
    >>> scene = make_scene(2, 10, seed=1)
    >>> scene.draw(0).shape
    (360, 480, 3)
    >>> print(scene.truth())
    Poses: 10 frames, 2 individuals, 12 keypoints, 2D in px, 25 frames/s, 100 % found
    """
    if n_animals < 1 or n_frames < 1 or not rate > 0:
        raise ShapeError(
            "scene: wanted at least one animal, one frame and a rate above 0, came "
            f"{n_animals} animals, {n_frames} frames, rate {rate}"
        )
    if arena is None:
        room = max(1.0, n_animals / 4) ** 0.5 if isinstance(cameras, int) else 1.0
        arena = Arena(width=400 * room, depth=300 * room)
    if isinstance(cameras, int):
        cameras = make_cameras(cameras, arena=arena)
    # Separate streams: who they are does not depend on how long they are watched.
    looks, moves = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    coats = make_coats(n_animals, appearance, looks)
    spread = 0.0 if appearance == "identical" else 0.06
    scale = 1.08 + spread * looks.uniform(-1, 1, n_animals)
    motion = make_motion(arena, n_frames, rate=rate, scale=scale, rng=moves)
    return Scene(motion, coats, arena, cameras, rate, seed)


def make_cameras(
    n: int = 1,
    *,
    size: tuple[int, int] = (480, 360),
    around: tuple[int, int] | None = None,
    arena: Arena | None = None,
) -> CameraGroup:
    """Set up cameras that see the whole floor.

    Parameters
    ----------
    n : int
        The first, ``top``, looks down from above; the others, ``cam1``, ``cam2``, ..., stand
        around.
    size : (int, int)
        Width and height in pixels.
    around : (int, int), optional
        Those of the cameras that stand around; the same by default. They are further away, and
        the arena fills less of their pictures.
    arena : Arena, optional
        What they look at; by default the default one.

    Raises
    ------
    ShapeError
        If fewer than one camera is wanted.
    """
    if n < 1:
        raise ShapeError(f"cameras: wanted at least one, came {n}")
    arena = Arena() if arena is None else arena
    reach = 2.1 * float(np.hypot(*arena.half))
    focal = 1.5 * size[0]
    # The upper rims of the walls just fit into the picture.
    fill = 2 * 1.03 * arena.half * focal / np.array(size)
    above = float(fill.max()) + 0.45 * arena.wall
    top = aim_camera("top", (0, 0, above), size=size, focal=focal, distortion=(-0.03, 0, 0, 0, 0))
    if n == 1:
        return CameraGroup([top], "mm")
    ring = make_ring(n - 1, radius=reach, height=1.15 * reach, size=around or size, seed=n)
    others = [_fit_arena(camera, f"cam{i + 1}", arena) for i, camera in enumerate(ring)]
    return CameraGroup([top, *others], "mm")


def _fit_arena(camera: Camera, name: str, arena: Arena) -> Camera:
    """Aim a camera so that the arena fills its picture."""
    x, y = arena.half
    corners = np.array([(a, b, c) for a in (-x, x) for b in (-y, y) for c in (0.0, arena.wall)])
    target = np.array([0.0, 0.0, 0.35 * arena.wall])
    aimed = aim_camera(name, camera.centre, target=target, size=camera.size, focal=1, distortion=())
    reach = np.abs(aimed.project(corners) - aimed.matrix[:2, 2]).max(0)
    focal = 0.47 * float((np.array(camera.size) / reach).min())
    return aim_camera(name, camera.centre, target=target, size=camera.size, focal=focal)


def _expose(picture: Singles, rng: np.random.Generator) -> Image:
    """Take the picture with a sensor: blur of the lens, noise, mild compression."""
    picture = blur(picture, 0.55)
    height, width = picture.shape[:2]
    grey = rng.standard_normal((height, width), dtype=np.float32)
    picture += (_NOISE * grey)[..., None]
    exposed = np.clip(picture, 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", exposed, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
