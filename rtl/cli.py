"""One way to run a command: typed options in, one clear line out when something is wrong.

A module's entry point is a function whose signature (or one frozen dataclass) is the command
line; tyro makes the flags and the ``--help`` text from the types and docstrings::

    @dataclass(frozen=True)
    class Options:
        '''Verilog of an engine, with a table of the resources that it takes.'''

        board: str = "sim"
        '''Which board to build for.'''

    def main(options: Options) -> None: ...

    if __name__ == "__main__":
        sys.exit(command(main, prog="python -m rtl.build"))
"""

import dataclasses
import inspect
import os
import re
import shutil
import sys
import textwrap
import traceback
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from rtl.config import ENGINE_HELP
from rtl.errors import ToolError, UserError

EXIT_TOOL, EXIT_USER, EXIT_INTERRUPT = 1, 2, 130
HELP_WIDTH = 80
PACKAGES = ("rtl", "sim", "nas", "boards")  # the first three are extras of the distribution, too

# --- options that several commands have ----------------------------------------------------------

BoardName = Annotated[str, tyro.conf.arg(metavar="NAME|FILE.toml")]
ENGINE_METAVAR = "NAME|FILE"
EngineName = Annotated[
    str | None,
    tyro.conf.arg(
        metavar=ENGINE_METAVAR, help_behavior_hint="(default: the board's)", help=ENGINE_HELP
    ),
]
Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]

# --- running a command ---------------------------------------------------------------------------


def command(
    main: Callable[..., int | None],
    *,
    prog: str,
    description: str | None = None,
    args: Sequence[str] | None = None,
) -> int:
    """Parse the command line, run ``main``, and turn the expected failures into exit codes.

    ======================  =========  =======================================
    ends with               exit code  on stderr
    ======================  =========  =======================================
    ``main`` returns        its value  (``None`` counts as 0)
    wrong usage             2          tyro's message (leaves by ``SystemExit``)
    ``UserError``           2          ``prog: error: message``
    ``OSError``             2          ``prog: error: reason: path``
    a package is missing    2          ``prog: error: `` its name and the extra that brings it
    ``ToolError``           1          ``prog: error: message`` with log lines
    ``KeyboardInterrupt``   130        ``prog: interrupted``, or its own message
    anything else           (raises)   a traceback: it is a defect of ours
    ======================  =========  =======================================

    With ``PULSAR_DEBUG=1`` in the environment the traceback is printed in every case.

    Parameters
    ----------
    main : callable
        Its signature is the command line. A dataclass parameter's fields become flags without
        the parameter's name in front.
    prog : str
        What the user typed, for example ``"python -m nas.search"``.
    description : str, optional
        Text above the options in ``--help``. By default the docstring of the dataclass, else of
        ``main``.
    args : sequence of str, optional
        Instead of ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code, for ``sys.exit``.
    """
    try:
        return _parse_and_run(main, prog, description, args) or 0
    except UserError as error:
        return _report(prog, f"error: {error}", EXIT_USER)
    except ToolError as error:
        return _report(prog, f"error: {error}", EXIT_TOOL)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if not name or name in PACKAGES:
            raise
        extra = prog.rpartition(" ")[2].partition(".")[0]
        message = f"Python package {name!r} not found: pip install 'pulsar-vit[{extra}]'"
        return _report(prog, f"error: {message}", EXIT_USER)
    except BrokenPipeError:
        # The reader (head, less) has gone; what Python still flushes at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_TOOL
    except OSError as error:
        return _report(prog, f"error: {_os_error_text(error)}", EXIT_USER)
    except KeyboardInterrupt as error:
        return _report(prog, str(error) or "interrupted", EXIT_INTERRUPT)


def _parse_and_run(
    main: Callable[..., int | None],
    prog: str,
    description: str | None,
    args: Sequence[str] | None,
) -> Any:
    options = _options_class(main)
    settings: dict[str, Any] = {
        "prog": prog,
        "description": _wrapped(description or inspect.getdoc(options or main) or ""),
        "args": args,
        "config": (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    }
    return main(tyro.cli(options, **settings)) if options else tyro.cli(main, **settings)


def _wrapped(description: str) -> str:
    """Break the lines, which tyro leaves to the terminal; without a docstring's sections."""
    text = re.split(r"\n\n\w+\n-+\n", description)[0]
    width = min(shutil.get_terminal_size().columns, HELP_WIDTH) - 2
    paragraphs = [textwrap.fill(part, width) for part in text.split("\n\n")]
    # tyro joins lines unless they begin with a space, and doubles those that are empty: hence the
    # indentation, and lines of one zero-width space.
    return textwrap.indent("\n\u200b\n".join(paragraphs), "  ").replace("  \u200b", "\u200b")


def _options_class(main: Callable[..., int | None]) -> type | None:
    """The dataclass that is ``main``'s one parameter, so that its docstring heads the help."""
    hints = {k: v for k, v in typing.get_type_hints(main).items() if k != "return"}
    kind = next(iter(hints.values()), None)
    alone = len(hints) == 1 and isinstance(kind, type) and dataclasses.is_dataclass(kind)
    return kind if alone else None


def _report(prog: str, message: str, exit_code: int) -> int:
    if os.environ.get("PULSAR_DEBUG") == "1":
        traceback.print_exc()
    print(f"{prog}: {message}", file=sys.stderr)
    return exit_code


def _os_error_text(error: OSError) -> str:
    """Say reason and path without the error number: ``Permission denied: /runs/a``."""
    if error.strerror is None:
        return str(error)
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    return ": ".join([error.strerror, " -> ".join(paths)] if paths else [error.strerror])
