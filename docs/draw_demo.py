"""Draw demo.png, the picture of the README, from what `mapose demo` made.

Run: mapose demo && python docs/draw_demo.py mapose-demo [FRAME FRAME FRAME FRAME]
"""

import sys
from pathlib import Path

import numpy as np

from mapose.io import Video, write_image

#: Apart and in contact.
FRAMES = (60, 110, 150, 200)


def main() -> None:
    """Put four frames of the labelled video beside each other, two by two."""
    folder, *frames = sys.argv[1:]
    with Video(Path(folder) / "results" / "arena.labelled.mp4") as video:
        a, b, c, d = (video[int(frame)] for frame in frames or FRAMES)
    write_image(np.block([[[a], [b]], [[c], [d]]]), Path(__file__).with_name("demo.png"))


if __name__ == "__main__":
    main()
