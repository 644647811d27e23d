"""Bars and tables on a terminal, in a file and in a pipe."""

import io

import pytest
from rich.console import Console
from rich.progress import TimeRemainingColumn
from rich.table import Table

from rtl.console import DETAIL, print_tables, progress_bars, table


def shown(*, terminal: bool) -> str:
    """Run a bar to its end; return what is on its console afterwards."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    with progress_bars(TimeRemainingColumn(), DETAIL, console=console) as progress:
        task = progress.add_task("images", total=3, detail="the first")
        progress.update(task, completed=2, detail="the third")
        console.print("warning: nearly done")
        progress.advance(task)
    return text.getvalue()


def test_bars_on_a_terminal():
    text = shown(terminal=True)
    for part in ("images", "3/3", "the third", "warning: nearly done"):
        assert part in text


def test_a_file_or_a_pipe_gets_no_line_of_a_bar():
    assert shown(terminal=False) == "warning: nearly done\n"


def test_bars_go_to_standard_error(capsys):
    with progress_bars() as progress:
        progress.console.print("there")
    assert capsys.readouterr() == ("", "there\n")


@pytest.mark.parametrize(("arguments", "width"), [({}, 120), ({"pipe_width": 90}, 90)])
def test_a_table_in_a_pipe_has_a_width_of_its_own(arguments, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    table = Table(expand=True)
    for column in ("module", "instances"):
        table.add_column(column)
    print_tables(table, "and a line", **arguments)
    *lines, last = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines} == {width}
    assert last == "and a line"


def test_columns_of_numbers_end_at_the_right():
    made = table("unit", "busy", text=["unit"], title="Units")
    assert [column.justify for column in made.columns] == ["left", "right"]
    assert [column.header for column in made.columns] == ["unit", "busy"]
