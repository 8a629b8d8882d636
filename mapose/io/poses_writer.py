"""Writing our own file: in runs, to a temporary name, safe against a full disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from mapose.doubts import Doubt
from mapose.errors import MaposeError, ShapeError, suggest_name
from mapose.files import explain_write_fault, write_atomically
from mapose.interruptions import hold_signals
from mapose.io.hdf5 import Sink
from mapose.poses import Peaks, Poses
from mapose.skeleton import Skeleton

SCHEMA = 1

# A chunk is read and unpacked as a whole: about 256 kB is quick to reach into and packs well.
_CHUNK_BYTES = 1 << 18
OF_PEAK = ("keypoint", "xy", "score", "covariance")
OF_PAIR = ("pairs", "edge", "affinity")
# What a 3D keypoint rests on, (F, I, K) each.
OF_SUPPORT = {"error": np.float32, "n_views": np.int16, "filled": np.bool_, "edited": np.bool_}


class PosesWriter:
    """Write poses to our own file run by run; memory does not grow with the length.

    The file takes its name when the ``with`` block ends well; before, and if it raises, nothing
    of that name appears or changes.

    Parameters
    ----------
    path : str or Path
        Usually ``<video>.mapose.h5``; replaced if it exists.
    skeleton : Skeleton
        Of all runs.
    individuals : sequence of str or None
        Of all runs; None for slots without order between frames.
    rate : float, optional
        Frames per second.
    unit : str
        Unit of the coordinates.
    provenance : dict, optional
        Where the poses come from; what JSON cannot hold is kept as its text.
    covariance : bool, optional
        Whether to keep the covariance of the poses; by default if the first run has one.

    Raises
    ------
    MaposeError
        If the file cannot be written, for instance because the disk is full.
    ShapeError
        If a run does not fit the first one or does not come after the one before.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        skeleton: Skeleton,
        individuals: Sequence[str] | None,
        *,
        rate: float | None = None,
        unit: str = "px",
        provenance: Mapping[str, Any] | None = None,
        covariance: bool | None = None,
    ) -> None:
        self.path = Path(path)
        self._skeleton = skeleton
        self._individuals = None if individuals is None else tuple(individuals)
        self._rate, self._unit = rate, unit
        self._provenance = json.dumps(dict(provenance or {}), ensure_ascii=False, default=str)
        self._covariance = covariance
        self._last_frame: int | None = None
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(write_atomically(self.path))
            self._sink = stack.enter_context(Sink(temporary, "wb+"))
            stack.push(self._finish)
            with self._explain():
                self._file = h5py.File(self._sink, "w")
                self._write_header()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, fault, trace)

    def append(self, poses: Poses, peaks: Peaks | None = None) -> None:
        """Add a run of frames.

        Parameters
        ----------
        poses : Poses
            Frames after those that are there; skeleton, individuals and companions as before.
        peaks : Peaks, optional
            Of the same frames; with all runs or with none.
        """
        first = "poses" not in self._file
        if first and self._covariance is None:
            self._covariance = poses.covariance is not None
        faults = list(self._find_faults(poses, peaks))
        if faults:
            raise ShapeError(f"{self.path.name}: " + "; ".join(faults))
        with self._explain():
            self._append(self._file.require_group("poses"), _list_poses(poses, self._covariance))
            if peaks is not None:
                group = self._file.require_group("peaks")
                offset = len(group["score"]) if "score" in group else 0
                self._append(group, _list_peaks(peaks, offset))
            self._file.flush()
        if len(poses):
            self._last_frame = int(poses.frames[-1])

    def add_cameras(self, text: str) -> None:
        """Store the calibration that belongs to the poses, as TOML text."""
        with self._explain():
            self._file["cameras"] = text

    def add_support(self, support: Mapping[str, Any]) -> None:
        """Store what the keypoints of all runs rest on, or after each run those of that run.

        Parameters
        ----------
        support : dict of str to array, (F, I, K)
            Some or all of ``error``, ``n_views``, ``filled`` and ``edited``.
        """
        count, *rest = self._file["poses"]["array"].shape[:3]
        there = [len(data) for data in self._file.get("support", {}).values()]
        shape = (count - max(there, default=0), *rest)
        arrays: dict[str, Any] = {}
        faults = []
        for name, values in support.items():
            if name not in OF_SUPPORT:
                faults.append(f"no support {name!r}: {suggest_name(name, OF_SUPPORT)}")
                continue
            arrays[name] = np.asarray(values, OF_SUPPORT[name])
            if arrays[name].shape != shape:
                faults.append(f"{name}: wanted shape {shape}, came {arrays[name].shape}")
        if faults:
            raise ShapeError(f"{self.path.name}: " + "; ".join(faults))
        with self._explain():
            self._append(self._file.require_group("support"), arrays)

    def add_provenance(self, more: Mapping[str, Any]) -> None:
        """Say more of where the poses come from, known only in the end."""
        told = {**json.loads(self._provenance), **more}
        self._provenance = json.dumps(told, ensure_ascii=False, default=str)
        with self._explain():
            del self._file["provenance"]
            self._file["provenance"] = self._provenance

    def add_doubts(self, doubts: Iterable[Doubt]) -> None:
        """Store the moments in which names were in doubt; none, where nobody looked for them."""
        with self._explain():
            listed = [doubt.to_dict() for doubt in doubts]
            self._file["doubts"] = json.dumps(listed, ensure_ascii=False)

    def _find_faults(self, poses: Poses, peaks: Peaks | None) -> Iterator[str]:
        there = self._file.get("poses")
        if poses.skeleton != self._skeleton:
            yield "the skeleton of the run is another one"
        for name in ("individuals", "unit"):
            wanted, came = getattr(self, f"_{name}"), getattr(poses, name)
            if came != wanted:
                yield f"{name}: wanted {wanted}, came {came}"
        if self._covariance and poses.covariance is None:
            yield "covariance: the runs before have one, this has none"
        if self._last_frame is not None and len(poses) and poses.frames[0] <= self._last_frame:
            yield f"frame {poses.frames[0]} comes after frame {self._last_frame}"
        if there is not None:
            if there["array"].shape[1:] != poses.array.shape[1:]:
                yield f"wanted poses {there['array'].shape[1:]}, came {poses.array.shape[1:]}"
            if ("identity" in there) != (poses.identity is not None):
                yield "identity: needed in all runs or in none"
            if ("peaks" in self._file) != (peaks is not None):
                yield "peaks: needed in all runs or in none"
        if peaks is not None and peaks.n_frames != len(poses):
            yield f"peaks of {peaks.n_frames} frames came with poses of {len(poses)}"

    def _append(self, group: Any, arrays: Mapping[str, Any]) -> None:
        for name, values in arrays.items():
            if name not in group:
                row = max(1, values.itemsize * int(np.prod(values.shape[1:])))
                group.create_dataset(
                    name,
                    (0, *values.shape[1:]),
                    values.dtype,
                    maxshape=(None, *values.shape[1:]),
                    chunks=(max(1, _CHUNK_BYTES // row), *(max(n, 1) for n in values.shape[1:])),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                )
            data = group[name]
            start = len(data)
            data.resize(start + len(values), axis=0)
            data[start:] = values

    def _write_header(self) -> None:
        file, skeleton = self._file, self._skeleton
        file.attrs.update({"format": "mapose", "schema": SCHEMA, "unit": self._unit})
        if self._rate is not None:
            file.attrs["rate"] = float(self._rate)
        file["provenance"] = self._provenance
        group = file.create_group("skeleton")
        group["keypoints"] = list(skeleton.keypoints)
        group["edges"] = skeleton.edge_index
        group["mirror"] = skeleton.mirror_index
        if skeleton.landmarks:
            group["landmarks"] = list(skeleton.landmarks)
        if self._individuals is not None:
            names = list(self._individuals)
            file.create_dataset("individuals", (len(names),), h5py.string_dtype(), data=names)

    def _finish(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        if fault is not None:
            with suppress(OSError, RuntimeError):
                self._file.close()
            return
        if "poses" not in self._file:
            self._covariance = False
            shape = (0, len(self._individuals or ()), len(self._skeleton.keypoints), 3)
            empty = np.zeros(shape, np.float32)
            self.append(Poses(empty, self._skeleton, self._individuals, unit=self._unit))
        with self._explain():
            self._file.close()

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            with hold_signals():  # HDF5 that is stopped half-way brings the process down
                yield
            if self._sink.fault is not None:
                raise self._sink.fault
        except OSError as fault:
            raise MaposeError(explain_write_fault(self.path, fault)) from fault


def _list_poses(poses: Poses, covariance: bool | None) -> dict[str, Any]:
    arrays: dict[str, Any] = {"array": poses.array, "frames": poses.frames}
    if poses.identity is not None:
        arrays["identity"] = poses.identity
    if covariance:
        arrays["covariance"] = poses.covariance
    return arrays


def _list_peaks(peaks: Peaks, offset: int) -> dict[str, Any]:
    """List what is stored of a run of peaks that comes after `offset` others."""
    of_pair = peaks.frame[peaks.pairs[:, 0]] if len(peaks.pairs) else np.zeros(0, np.int64)
    order = np.argsort(of_pair, kind="stable")  # by frame, so that part of a file can be loaded
    counts = [np.bincount(f, minlength=peaks.n_frames) for f in (peaks.frame, of_pair)]
    arrays = {name: getattr(peaks, name) for name in OF_PEAK}
    arrays |= {name: getattr(peaks, name)[order] for name in OF_PAIR}
    arrays["pairs"] = arrays["pairs"] + offset
    arrays["per_frame"] = np.stack(counts, axis=1).astype(np.int64)
    return arrays
