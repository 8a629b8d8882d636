"""The page on which the demo shows what it made."""

from __future__ import annotations

from html import escape
from pathlib import Path

from mapose.demo.result import DemoResult
from mapose.files import write_atomically

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --soft: #8881; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; margin: 0 0 .3rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .6rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; }}
td:nth-child(n + 2), th:nth-child(n + 2) {{ text-align: right; }}
video, img {{ width: 100%; border-radius: 4px; background: #fff; }}
figure {{ margin: 0 0 1.2rem; }} figcaption {{ color: #888; font-size: 13px; }}
pre {{ background: var(--soft); padding: .8rem 1rem; border-radius: 4px; overflow-x: auto; }}
.wrong {{ color: #c23; font-weight: 600; }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<video src="{video}" controls muted loop></video>
<h2>What was promised, and what came</h2>
<table><tr><th></th><th>came</th><th>promised</th></tr>{rows}</table>
<h2>Figures</h2>
{figures}
<h2>Next</h2>
<pre>{commands}</pre>
</html>
"""
_CAPTIONS = {
    "scene": "The animals in space, where they came from, and the cameras around them",
    "reconstruction": "How many cameras saw each animal, and how far off they are",
    "positions": "Where each animal was over time",
    "confidence": "How certain the keypoints are",
    "histograms": "Steps between frames and confidences",
    "identity": "The probability that each name is right",
}


def write_report(result: DemoResult, path: Path) -> None:
    """Write the page of a demo: its video, what was promised and what came, figures, what is next.

    Parameters
    ----------
    result : DemoResult
        Its video and figures lie in the folder of the page or below.
    path : Path
        Where to.
    """
    folder = path.parent
    figures = "\n".join(
        f'<figure><img src="{plot.relative_to(folder).as_posix()}" alt="{plot.stem}">'
        f"<figcaption>{escape(_CAPTIONS.get(plot.stem, plot.stem))}</figcaption></figure>"
        for plot in result.plots
    )
    page = _PAGE.format(
        title="Three mice, three cameras, thirty labelled frames",
        summary=_summarise(result),
        video=result.video.relative_to(folder).as_posix(),
        rows="".join(_list_rows(result)),
        figures=figures,
        commands=escape(_list_commands(result)),
    )
    with write_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _summarise(result: DemoResult) -> str:
    if result.faults:
        return "".join(f'<span class="wrong">wrong: {escape(f)}</span><br>' for f in result.faults)
    tracks, space = result.comparison.tracks, result.space
    return (
        f"All is as promised: each animal has its own name {tracks.idf1:.1%} of the time, and "
        f"keypoints are {space.median:.1f} mm off in space."
    )


def _list_rows(result: DemoResult) -> list[str]:
    return [
        f"<tr><td>{escape(promise.what)}</td><td>{promise.came}</td><td>{promise.wanted}</td></tr>"
        for promise in result.promises
    ]


def _list_commands(result: DemoResult) -> str:
    folder, session = result.project, result.project / "results" / "session.mapose.h5"
    return "\n".join(
        (
            f"mapose info {folder}",
            f"mapose swaps {session}",
            f"mapose kinematics {session}",
            f"mapose export {session} --to csv",
            "mapose new my-mice --keypoints nose,ear,tail --individuals 3 --videos *.mp4",
        )
    )
