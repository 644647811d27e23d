"""Progress bars and tables of the commands.

Bars and spinners belong to a terminal: a file or a pipe on stderr gets none of their lines.
"""

from collections.abc import Collection
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

DETAIL = TextColumn("{task.fields[detail]}")
"""A column for what a task is doing now, its field ``detail``."""

PIPE_WIDTH = 120  # of a table where there is no terminal, which would have a width of its own


def progress_bars(*more: ProgressColumn, console: Console | None = None) -> Progress:
    """Return bars for stderr with a description, a count, the time, and what ``more`` columns show.

    Parameters
    ----------
    *more : ProgressColumn
        Columns behind the usual ones, such as :data:`DETAIL`.
    console : Console, optional
        Terminal that shows them; by default standard error.
    """
    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *more,
        console=console,
        disable=not console.is_terminal,
    )


def table(*columns: str, text: Collection[str], no_wrap: bool = False, **options: Any) -> Table:
    """Make a table without rows.

    Parameters
    ----------
    *columns : str
        Headers; the columns hold numbers, which end at the right.
    text : collection of str
        Headers of the columns that hold text instead.
    no_wrap : bool
        Whether no cell is broken into lines.
    **options
        Those of :class:`rich.table.Table`, such as ``title``.
    """
    result = Table(**options)
    for name in columns:
        result.add_column(name, justify="left" if name in text else "right", no_wrap=no_wrap)
    return result


def print_tables(*parts: RenderableType, pipe_width: int = PIPE_WIDTH) -> None:
    """Print tables to standard output, as wide as the terminal; ``pipe_width`` without one."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=pipe_width, highlight=False)
    for part in parts:
        console.print(part)
