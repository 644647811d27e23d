"""Progress bars and tables of the commands.

Bars and spinners belong to a terminal: a file or a pipe on stderr gets none of their lines.
"""

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

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


def print_tables(*parts: RenderableType, pipe_width: int = PIPE_WIDTH) -> None:
    """Print tables to standard output, as wide as the terminal; ``pipe_width`` without one."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=pipe_width, highlight=False)
    for part in parts:
        console.print(part)
