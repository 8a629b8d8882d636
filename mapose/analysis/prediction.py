"""Images to keypoint candidates: network and peak finding, batch by batch."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mapose.analysis.identity import carry_marks
from mapose.analysis.looks import Look, join_looks
from mapose.analysis.refinement import PoseRefiner
from mapose.arrays import Image
from mapose.data import pad_images, prepare_image
from mapose.decode import Candidates, find_peaks, read_centres, score_links
from mapose.errors import SettingsError
from mapose.grid import to_pixels
from mapose.io import Video, prefetch
from mapose.models import Model, Workers, find_device, open_runner, take_one_core
from mapose.poses import Peaks, join_peaks

logger = logging.getLogger(__name__)

#: Pixels of a batch at the network's scale, at most: eight images of 4K, one of 8000 x 6000.
PIXELS = 2**26
Crop = tuple[int, int, int, int]
# Coarsest cells that the network sees beyond a crop. With 3, 4 and 5 no keypoint of drawn mice
# moves by more than 2.9, 0.09 and 0.000 px: there the view of the small network ends.
_AROUND = 5
#: Lowest score of a candidate where animals must be told apart from nothing.
THRESHOLD = 0.1


class Predictor:
    """A model made ready for many images.

    Parameters
    ----------
    model : Model
        What to predict with.
    individuals : int, optional
        Animals per frame, the model's own number by default. Candidates score at least
        `THRESHOLD`; with 1, every keypoint gets its best place too, whatever its score.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"``, ...; the fastest by default.
    crop : Crop, optional
        Part of the images in which to look, left, top, width and height in px; positions stay
        those in the whole image.
    frames : int
        How many images there will be: for many it pays to have onnxruntime run the network.
    at_once : bool
        They come one by one, each to be answered by all cores, see `find_at_once`.
    """

    def __init__(
        self,
        model: Model,
        *,
        individuals: int | None = None,
        device: str | None = None,
        crop: Crop | None = None,
        frames: int = 0,
        at_once: bool = False,
    ) -> None:
        self.model = model
        self.device = find_device(device)
        self.network, self.runner = open_runner(model, self.device, frames=frames, at_once=at_once)
        animals = individuals or model.individuals
        self.single = animals == 1
        self.most = 5 if self.single else max(40, 3 * (animals or 0))
        links = model.body.edge_index[: 0 if self.single else None]
        self.edges = torch.as_tensor(links, device=self.device)
        self.workers = Workers(self.device)
        self.refiner = (
            None
            if model.refiner is None
            else PoseRefiner(
                model,
                individuals=animals,
                device=self.device,
                threshold=THRESHOLD,
                frames=frames,
                at_once=at_once,
            )
        )
        self.crop = crop
        self.view = None if crop is None else self._find_view(crop)

    def _find_view(self, crop: Crop) -> tuple[int, int, int, int]:
        """Find the part that the network is shown: left, top, right, bottom.

        It begins at a corner of the network's cells, so that these are those of the whole image,
        and shows the network what lies around, as far as a cell looks.
        """
        cell = int(self.model.factor * self.model.network.multiple * 2 ** (self.model.looks - 1))
        left, top, width, height = crop
        around = _AROUND * cell
        first, upper = (max(0, at // cell * cell - around) for at in (left, top))
        return first, upper, left + width + around, top + height + around

    def prepare(self, image: Image) -> Image:
        """Bring an image, uint8 (H, W) or RGB (H, W, 3), to the network's scale.

        With a second stage it stays at its own, at which that looks at it.
        """
        if self.view is not None:
            left, top, right, bottom = self.view
            image = image[top:bottom, left:right]
        return image if self.refiner is not None else self._shrink(image)

    def _shrink(self, image: Image) -> Image:
        return prepare_image(image, factor=self.model.factor, channels=self.model.channels)

    def find(self, images: Sequence[Image | None]) -> Peaks:
        """Find the candidates of a batch of prepared images, each thread those of a share.

        Parameters
        ----------
        images : sequence of uint8 (H, W, C) or None
            All of one size. None stands for a frame that could not be read: it has no peaks.

        Returns
        -------
        Peaks
            One frame per entry, positions in pixels of the original images.
        """
        size = max(1, -(-len(images) // self.workers.count))
        shares = [images[i : i + size] for i in range(0, len(images), size)]
        parts = list(self.workers.map(self._look, shares))
        return join_peaks(parts) if parts else _no_peaks(0)

    def find_at_once(self, images: Sequence[Image | None]) -> Peaks:
        """Find the candidates of very few prepared images as soon as can be.

        All cores are the network's alone: what follows it is too small to share.
        """
        with take_one_core():
            return self._look(images)

    def _look(self, images: Sequence[Image | None]) -> Peaks:
        """Find the candidates of one share, with the second stage where there is one."""
        if self.refiner is None:
            return self._place(self._find_share(images))
        first = self._find_share([None if i is None else self._shrink(i) for i in images])
        return self._place(carry_marks(first, self.refiner.refine(images, first)))

    @torch.inference_mode()
    def _find_share(self, images: Sequence[Image | None]) -> Peaks:
        rows = np.array([i for i, image in enumerate(images) if image is not None], np.int64)
        if not len(rows):
            return _no_peaks(len(images))
        shown = [image for image in images if image is not None]
        looks = [self._look_once(shown, 2**n) for n in range(self.model.looks)]
        found = looks[0] if looks[0].animal is None else join_looks(looks, self.edges)
        keypoint, pitch = found.keypoint.cpu().numpy(), found.pitch.cpu().numpy()
        scale = (self.model.variance[keypoint] * pitch**2).astype(np.float32)[:, None, None]
        return Peaks(
            frame=rows[found.frame.cpu().numpy()],
            keypoint=keypoint,
            xy=found.xy.cpu().numpy(),
            score=found.score.cpu().numpy(),
            covariance=found.covariance.cpu().numpy() * scale,
            pairs=found.pairs.cpu().numpy(),
            edge=found.edge.cpu().numpy(),
            affinity=found.affinity.cpu().numpy(),
            n_frames=len(images),
            marks=None if found.marks is None else found.marks.cpu().numpy(),
        )

    def _look_once(self, images: Sequence[Image], shrunk: int) -> Look:
        """Find the candidates of images at the network's scale, shown so many times smaller."""
        if shrunk > 1:
            plain = [i[..., 0] if self.model.channels == 1 else i for i in images]
            images = [prepare_image(i, factor=shrunk, channels=self.model.channels) for i in plain]
        stack = pad_images(images, self.model.network.multiple)
        maps = self.network.predict(torch.from_numpy(stack).to(self.device))
        found = find_peaks(
            maps.scores,
            maps.offsets,
            threshold=THRESHOLD,
            most=self.most,
            best=self.single,
            radius=self.model.network.split,
        )
        pairs, edge, affinity = score_links(
            maps.fields, found.frame, found.keypoint, found.cells, self.edges
        )
        pitch, animal = self.model.pitch * shrunk, None
        if maps.centres is not None:
            animal = read_centres(maps.centres, found.frame, found.cells)
            animal = torch.cat([to_pixels(animal[:, :2], pitch), animal[:, 2:] * pitch], dim=1)
        return Look(
            frame=found.frame,
            keypoint=found.keypoint,
            xy=to_pixels(found.cells, pitch),
            score=found.score,
            covariance=found.covariance,
            pitch=torch.full_like(found.score, pitch, dtype=torch.float64),
            pairs=pairs,
            edge=edge,
            affinity=affinity,
            animal=animal,
            marks=self._read_marks(maps.marks, found),
        )

    def _read_marks(self, marks: Tensor | None, found: Candidates) -> Tensor | None:
        """Read at each candidate whose it is, as calibrated log-probabilities."""
        if marks is None or self.model.identity is None:
            return None
        high, wide = marks.shape[2:]
        x, y = found.cells.round().long().unbind(1)
        logits = marks[found.frame, :, y.clamp(0, high - 1), x.clamp(0, wide - 1)]
        return (self.model.identity.scale * logits).log_softmax(1)

    def _place(self, peaks: Peaks) -> Peaks:
        """Give peaks their places in the whole image; those outside of the crop are dropped."""
        if self.crop is None or self.view is None:
            return peaks
        left, top, width, height = self.crop
        xy = peaks.xy + np.array(self.view[:2], np.float32)
        inside = (xy >= [left - 0.5, top - 0.5]) & (xy < [left + width - 0.5, top + height - 0.5])
        return replace(peaks, xy=xy).pick(np.asarray(inside.all(1)))

    def find_images(self, images: Iterable[Image]) -> Peaks:
        """Find the candidates of original images, which may differ in size, one by one."""
        ahead = prefetch(images, depth=4)
        parts: list[Peaks] = []
        while few := list(islice(ahead, 2 * self.workers.count)):  # never all in memory
            parts += self.workers.map(lambda image: self._look([self.prepare(image)]), few)
        return join_peaks(parts) if parts else _no_peaks(0)

    def find_batches(self, batches: Iterable[Sequence[Image | None]]) -> Iterator[Peaks]:
        """Find the candidates of batch after batch of prepared images."""
        for batch in batches:
            yield self.find(batch)


def predict(
    video: str | os.PathLike[str],
    model: Model | str | os.PathLike[str],
    *,
    individuals: int | None = None,
    frames: slice | None = None,
    batch: int = 8,
    device: str | None = None,
    crop: Crop | None = None,
) -> Peaks:
    """Find keypoint candidates in a video.

    Parameters
    ----------
    video : path
        Video file.
    model : Model or path
        Model or model folder.
    individuals : int, optional
        Animals per frame; the model's own number by default.
    frames : slice, optional
        Video frames ``start:stop``; all by default.
    batch : int
        Images per network call.
    device : str, optional
        Where to compute.
    crop : (int, int, int, int), optional
        Part of the images in which to look: left, top, width and height in px.

    Returns
    -------
    Peaks
        Positions in image pixels. Frames that could not be read have none.

    Raises
    ------
    VideoError
        If the video cannot be opened.
    FormatError
        If the model folder is not complete.
    SettingsError
        If frames are to be left out.
    """
    model = model if isinstance(model, Model) else Model.load(model)
    predictor = Predictor(model, individuals=individuals, device=device, crop=crop)
    start, stop, step = (frames or slice(None)).indices(2**62)
    if step != 1:
        raise SettingsError(f"frames: wanted start:stop, one after the other, came steps of {step}")
    with Video(Path(video), gray=model.channels == 1) as source:
        batches = read_batches(source, predictor, slice(start, stop), batch)
        parts = list(predictor.find_batches(prefetch(batches, depth=4)))
    return join_peaks(parts) if parts else _no_peaks(0)


def read_batches(
    video: Video, predictor: Predictor, frames: slice, batch: int
) -> Iterator[list[Image | None]]:
    """Read frames ``start:stop`` of a video as batches of prepared images.

    Batches begin at multiples of ``batch`` from the start, and between them where they would
    exceed `PIXELS` or where the images change their size, so that they do not depend on where an
    interrupted run goes on. A frame that cannot be read is None.
    """
    waiting: list[Image | None] = []
    last: tuple[int, ...] = ()
    for n, image in video.iterate(frames.start, min(frames.stop, len(video))):
        prepared = None if image is None else predictor.prepare(image)
        shape = last if prepared is None else prepared.shape
        if last and shape != last:
            logger.warning(
                "%s: from frame %d on, the images have another size; poses are in the pixels of "
                "their own frame",
                video.path.name,
                n,
            )
        full = len(waiting) * math.prod(shape[:2]) + math.prod(shape[:2]) > PIXELS
        if waiting and (full or (n - frames.start) % batch == 0 or (last and shape != last)):
            yield waiting
            waiting = []
        waiting.append(prepared)
        last = shape
    if waiting:
        yield waiting


def _no_peaks(n_frames: int) -> Peaks:
    none = np.empty(0, np.int64)
    return Peaks(
        none,
        none,
        np.empty((0, 2), np.float32),
        np.empty(0, np.float32),
        np.empty((0, 2, 2), np.float32),
        np.empty((0, 2), np.int64),
        none,
        np.empty(0, np.float32),
        n_frames,
    )
