"""What is installed, which device is used, and what is wrong."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import which
from typing import Any

import torch

from mapose import __version__
from mapose.models import find_device

_LIBRARIES = (
    *("torch", "numpy", "scipy", "pandas", "opencv-contrib-python", "av", "h5py", "networkx"),
    *("filterpy", "pydantic", "sleap-io"),
)
_EXTRAS = ("tables",)


@dataclass(frozen=True)
class Diagnosis:
    """The answer of `diagnose`.

    Parameters
    ----------
    mapose, python, system : str
        Versions.
    device : str
        Where networks run by default.
    cores : int
        Processor cores.
    libraries : dict of str to str
        Versions; empty = not installed.
    faults : list of str
        What is wrong, and what to do about it.
    """

    mapose: str
    python: str
    system: str
    device: str
    cores: int
    libraries: dict[str, str]
    faults: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("mapose", self.mapose), ("python", self.python), ("system", self.system)]
        rows += [("device", self.device), ("cores", str(self.cores))]
        rows += [(name, version or "not installed") for name, version in self.libraries.items()]
        lines = [f"{name:22} {value}" for name, value in rows]
        lines += [f"wrong: {fault}" for fault in self.faults] or ["nothing is wrong"]
        return "\n".join(lines)


def diagnose() -> Diagnosis:
    """Look at the installation.

    Returns
    -------
    Diagnosis
    """
    versions = {name: _find_version(name) for name in (*_LIBRARIES, *_EXTRAS)}
    faults = [f"{name} is missing: pip install {name}" for name in _LIBRARIES if not versions[name]]
    device = find_device()
    cores = os.cpu_count() or 1
    note = device.type
    if device.type == "cuda":
        note = f"cuda ({torch.cuda.get_device_name()})"
    elif _has_nvidia_driver():
        faults.append(
            "there is an NVIDIA GPU, but this torch is a build for the CPU: install the CUDA "
            "build that pytorch.org names for your system"
        )
    return Diagnosis(
        __version__, platform.python_version(), platform.platform(), note, cores, versions, faults
    )


def _find_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or which("nvidia-smi") is not None
