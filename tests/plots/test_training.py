import io
from pathlib import Path

import numpy as np
import pytest

from mapose.errors import FormatError
from mapose.plots import plot_training

HEADER = "step,seconds,loss,scoremap_loss,offset_loss,affinity_loss,rate,train_error,test_error"


def write_log(path: Path, steps: int = 50) -> Path:
    rows = [HEADER]
    for s in range(1, steps + 1):
        errors = f"{20 / s + 1},{30 / s + 2}" if s % 10 == 0 else ","
        rows.append(f"{s},{s * 1.5},{1 / s},{0.5 / s},{0.3 / s},{0.2 / s},0.001,{errors}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def draw(figure) -> None:
    figure.savefig(io.BytesIO(), format="png", dpi=50)


def test_csv_of_a_training(tmp_path: Path) -> None:
    figure = plot_training(write_log(tmp_path / "log.csv"))
    draw(figure)
    loss, error, rate = figure.axes[:3]
    assert [t.get_text() for t in loss.get_legend().get_texts()] == [
        "scoremap",
        "offset",
        "affinity",
        "loss",
    ]
    assert loss.get_yscale() == "log"
    assert error.lines[1].get_xdata().tolist() == [10, 20, 30, 40, 50]
    assert error.get_title(loc="right") == "best 2.60 px at step 50"
    assert rate.get_ylabel() == "learning rate" and rate.get_xlabel() == "step"


def test_minutes_stand_above_the_steps(tmp_path: Path) -> None:
    figure = plot_training(write_log(tmp_path / "log.csv"))
    draw(figure)
    (top,) = figure.axes[0].child_axes
    assert top.get_xlabel() == "minutes"
    _, high = figure.axes[0].get_xlim()
    assert top.get_xlim()[1] == pytest.approx(high * 1.5 / 60, rel=0.05)


@pytest.mark.parametrize("cut", [0, 7, 21])
def test_a_log_that_is_being_written(tmp_path: Path, cut: int) -> None:
    path = write_log(tmp_path / "log.csv", 12)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) - cut], encoding="utf-8")
    draw(plot_training(path))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_first_steps_of_a_training(tmp_path: Path, steps: int) -> None:
    figure = plot_training(write_log(tmp_path / "log.csv", steps))
    draw(figure)
    assert figure.axes[0].get_ylabel() == "loss"


def test_columns_that_are_not_there_have_no_panel() -> None:
    figure = plot_training({"step": [1, 2, 3], "loss": [3, 2, 1]})
    assert len(figure.axes) == 1
    figure = plot_training({"step": [1, 2], "loss": [3, 2], "test_error": [np.nan, 4.0]})
    assert len(figure.axes) == 2


def test_resumed_runs_and_odd_losses_can_be_drawn() -> None:
    draw(
        plot_training(
            {
                "step": [1, 2, 3, 2, 3, 4],
                "seconds": [1, 2, 3, 0.5, 1, 2],
                "loss": [1, np.nan, np.inf, 0.0, -1, 0.2],
            }
        )
    )


def test_long_logs_are_thinned() -> None:
    steps = np.arange(100_000)
    figure = plot_training({"step": steps, "loss": np.exp(-steps / 2e4)})
    assert all(len(line.get_xdata()) <= 600 for line in figure.axes[0].lines)


def test_what_is_not_a_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no file"):
        plot_training(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(FormatError, match="came a, b"):
        plot_training(tmp_path / "other.csv")
