"""Draw demo.png, the picture of the README, from what `mapose demo` made.

Run: mapose demo && python docs/draw_demo.py mapose-demo [FRAME]
"""

import sys
from pathlib import Path

from mapose.io import Video, write_image

#: Two mice side by side, one apart, in all views.
FRAME = 200


def main() -> None:
    """Take a frame of the labelled video: three cameras and the scene in space."""
    folder, *frames = sys.argv[1:]
    with Video(Path(folder) / "results" / "session.labelled.mp4") as video:
        picture = video[int(frames[0]) if frames else FRAME]
    write_image(picture, Path(__file__).with_name("demo.png"))


if __name__ == "__main__":
    main()
