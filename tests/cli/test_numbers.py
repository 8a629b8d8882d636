"""Numbers that make no sense are refused alike by all commands."""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner

from mapose.cli import app
from mapose.cli.numbers import real
from mapose.config import TrainSettings


def _list_numbers() -> list[tuple[str, str, Any]]:
    """List command, option, and what reads the number, of all that take numbers."""
    found = []

    def look(group: typer.Typer, before: str) -> None:
        for info in group.registered_groups:
            look(info.typer_instance, f"{before} {info.name or info.typer_instance.info.name}")
        for command in group.registered_commands:
            name = command.name or command.callback.__name__.rstrip("_").replace("_", "-")
            for key, hint in get_type_hints(command.callback, include_extras=True).items():
                kinds = {hint, *_unpack(hint)}
                option = next((part for part in kinds if isinstance(part, OptionInfo)), None)
                if option is not None and kinds & {int, float}:
                    shown = (option.param_decls or [f"--{key.rstrip('_').replace('_', '-')}"])[0]
                    found.append((f"{before} {name}".strip(), shown, option.parser))

    look(app, "")
    return found


def _unpack(hint: Any) -> Iterator[Any]:
    for part in (*get_args(hint), *getattr(hint, "__metadata__", ())):
        if isinstance(part, OptionInfo) or part in (int, float):
            yield part
        yield from _unpack(part)


NUMBERS = _list_numbers()


def test_every_number_has_bounds() -> None:
    assert len(NUMBERS) > 40
    free = [(c, option) for c, option, read in NUMBERS if not getattr(read, "bounded", False)]
    assert free == []


@pytest.mark.parametrize("number", ["nan", "inf", "-99999999999999999999", "1e999", "one", ""])
def test_nonsense_is_refused_by_all(number: str) -> None:
    for _, _, read in NUMBERS:
        with pytest.raises(typer.BadParameter, match=r"wanted a .*number .*, came"):
            read(number)


@pytest.mark.parametrize("command", ["track", "analyze", "import", "triangulate"])
@pytest.mark.parametrize("number", ["0", "-2", "1000000"])
def test_animals(command: str, number: str) -> None:
    result = CliRunner().invoke(app, [command, "a", "b", f"--animals={number}"])
    assert result.exit_code == 2 and "wanted a whole number" in result.output


def test_bounds() -> None:
    share = real(most=1).parser
    assert [share("0"), share("1"), share("0.25")] == [0, 1, 0.25]
    above = real(above=True).parser
    assert above("1e-9") == 1e-9
    for wrong in ("0", "-1", "2e9"):
        with pytest.raises(typer.BadParameter, match="wanted a number above 0, came"):
            above(wrong)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_settings_are_numbers(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        TrainSettings(minutes=value)
