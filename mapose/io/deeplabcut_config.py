"""What DeepLabCut's config.yaml says of a project: names, edges, sizes of pictures."""

from __future__ import annotations

import logging
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from mapose.errors import FormatError
from mapose.io.sources import split_path
from mapose.reading import load_yaml

log = logging.getLogger(__name__)


def read_config(path: Path | None) -> dict[str, Any]:
    """Read a project's config.yaml as far as it can be understood; {} where it cannot."""
    if path is None:
        return {}
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    # Windows paths in double quotes are no valid YAML: their backslashes look like escapes.
    for attempt in (text, text.replace("\\", "/")):
        try:
            config = load_yaml(attempt, path, strict=False)
            return config if isinstance(config, dict) else {}
        except FormatError:
            continue
    log.warning("%s is not valid YAML and is left aside: no skeleton, no video paths", path)
    return {}


def find_config(folder: Path) -> Path | None:
    """Find the config of a folder's project, in it or up to two folders above."""
    places = [folder, folder.parent, folder.parent.parent]
    return next((p / "config.yaml" for p in places if (p / "config.yaml").is_file()), None)


def read_edges(
    config: dict[str, Any], keypoints: list[str], landmarks: list[str]
) -> list[tuple[str, str]]:
    """Take the skeleton from the config: pairs, or chains of several names, of known parts."""
    edges: dict[frozenset[str], tuple[str, str]] = {}
    skeleton = config.get("skeleton")
    for chain in skeleton if isinstance(skeleton, list) else []:
        names = [str(n) for n in chain] if isinstance(chain, list) else []
        for a, b in pairwise(names):
            apart = (a in landmarks) != (b in landmarks)
            if a != b and {a, b} <= set(keypoints) and not apart:
                edges.setdefault(frozenset((a, b)), (a, b))
    return list(edges.values())


def list_sizes(config: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """List width and height of the part of each video that is labelled, as the config has them."""
    sizes, listed = {}, config.get("video_sets")
    for name, entry in (listed if isinstance(listed, dict) else {}).items():
        crop = str(entry.get("crop", "")) if isinstance(entry, dict) else ""
        found = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*", crop)
        if found and (parts := split_path(str(name))):
            left, right, top, bottom = map(int, found.groups())
            sizes[Path(parts[-1]).stem] = (right - left, bottom - top)
    return sizes


def hold_names(keypoints: list[str], config: dict[str, Any]) -> list[str]:
    """Tell of body parts that are labelled but no longer in the project."""
    parts = config.get("bodyparts")
    if parts == "MULTI!":
        listed = [config.get("multianimalbodyparts"), config.get("uniquebodyparts")]
        parts = [name for some in listed if isinstance(some, list) for name in some]
    if not isinstance(parts, list) or not parts:
        return []
    old = [name for name in keypoints if name not in {str(part) for part in parts}]
    if not old:
        return []
    return [
        f"{', '.join(old)}: labelled, but no longer among the body parts of config.yaml; they are "
        "taken all the same"
    ]
