"""What the demo made, held against what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mapose.metrics import ReconstructionError
from mapose.results.comparison import Comparison

#: What the demo promises, as the README says it; the last in mm.
LEAST_MAP, LEAST_IDF1, MOST_SWAPS, MOST_ERROR, MOST_OFF = 0.93, 0.97, 0, 0.05, 3.0


@dataclass(frozen=True)
class Promise:
    """A figure of the demo and what was promised of it; one that is NaN is not kept.

    Parameters
    ----------
    what : str
        In words.
    value : float
        What came.
    least, most : float, optional
        What was promised, one of them.
    """

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether what came is as promised."""
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )

    @property
    def wanted(self) -> str:
        """What was promised, in words."""
        return f"at most {self.most}" if self.least is None else f"at least {self.least}"

    @property
    def came(self) -> str:
        """What came, in as many digits as tell something."""
        return f"{self.value:.{0 if self.most == 0 else 3}f}"

    def __str__(self) -> str:
        return f"{self.what}: {self.came}, promised is {self.wanted}"


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    comparison : Comparison
        What the camera from above gave, against the truth, on frames that were not trained on.
    space : ReconstructionError
        Of the poses in 3D, mm.
    promises : list of Promise
        What was promised, and whether it was kept.
    project, report, video : Path
        The project folder, the page that shows all, and the labelled video.
    plots : list of Path
        The figures.
    """

    comparison: Comparison
    space: ReconstructionError
    promises: list[Promise]
    project: Path
    report: Path
    video: Path
    plots: list[Path]

    @property
    def faults(self) -> list[str]:
        """A sentence for each promise that was not kept."""
        return [str(promise) for promise in self.promises if not promise.is_kept]

    def __str__(self) -> str:
        kept = [f"wrong: {fault}" for fault in self.faults] or ["all is as promised"]
        return "\n".join(
            [
                f"{self.comparison}\n",
                f"in space: median error {self.space.median:.2f} mm, {self.space.found:.1%} found, "
                f"{self.space.coverage:.1%} in the stated 95 % region\n",
                *kept,
                "",
                f"open first      {self.report}",
                f"video           {self.video}",
                f"figures         {self.plots[0].parent}",
                f"project         {self.project}",
                "",
                "With your own labels: mapose import DIR --from LABELS, then train, analyze",
            ]
        )


def find_promises(comparison: Comparison, space: ReconstructionError, swaps: int) -> list[Promise]:
    """Hold a result against what the demo promises.

    Parameters
    ----------
    comparison : Comparison
        Of what the camera from above gave with the truth.
    space : ReconstructionError
        Of the poses in 3D.
    swaps : int
        Changes of name that last.
    """
    return [
        Promise("OKS mAP", comparison.similarity.map, least=LEAST_MAP),
        Promise("IDF1", comparison.tracks.idf1, least=LEAST_IDF1),
        Promise("lasting swaps of names", float(swaps), most=MOST_SWAPS),
        Promise(
            "error of the stated probabilities of names",
            comparison.names.calibration_error,
            most=MOST_ERROR,
        ),
        Promise("median error in space, mm", space.median, most=MOST_OFF),
    ]
