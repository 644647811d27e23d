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

import contextlib
import difflib
import inspect
import io
import itertools
import os
import re
import shutil
import sys
import textwrap
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from rtl.config import ENGINE_HELP
from rtl.errors import ToolError, UserError
from rtl.model.keep import KEEP_HELP

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
ImageFiles = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="(at least one)"),
]
KeepText = Annotated[
    str | None,
    tyro.conf.arg(metavar="BLOCK:N[,BLOCK:N ...]", help_behavior_hint="", help=KEEP_HELP),
]
OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]

# --- running a command ---------------------------------------------------------------------------


def command(
    main: Callable[[Any], int | None],
    *,
    prog: str,
    args: Sequence[str] | None = None,
) -> int:
    """Parse the command line, run ``main``, and turn the expected failures into exit codes.

    ======================  =========  =======================================
    ends with               exit code  on stderr
    ======================  =========  =======================================
    ``main`` returns        its value  (``None`` counts as 0)
    wrong usage             2          ``prog: error: `` the option and the nearest one, or its type
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
        Takes one parameter, a dataclass: its fields are the options, its docstring heads the help.
    prog : str
        The command that the user typed, for example ``"python -m nas.search"``.
    args : sequence of str, optional
        Instead of ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit code, for ``sys.exit``.
    """
    try:
        return main(_parse(_options_class(main), prog, sys.argv[1:] if args is None else args)) or 0
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


def _options_class(main: Callable[[Any], int | None]) -> type:
    """Return the dataclass that is the type of ``main``'s one parameter."""
    (kind,) = [kind for name, kind in typing.get_type_hints(main).items() if name != "return"]
    return kind


def _parse(options: type, prog: str, args: Sequence[str]) -> Any:
    """Make the options from the command line.

    Raises
    ------
    UserError
        If the command line is wrong: says in one line how.
    """
    kinds, box = typing.get_type_hints(options), io.StringIO()
    for arg, following in itertools.pairwise([*args, "--"]):
        name = arg.removeprefix("--").replace("-", "_")
        if typing.get_origin(kinds.get(name)) is tuple and following.startswith("--"):
            raise UserError(f"{_flag(arg)} needs a value")  # tyro would take it for an empty tuple
    try:
        with contextlib.redirect_stderr(box):
            chosen, stray = _tyro(options, prog, args)
    except SystemExit as stop:
        if not stop.code:
            raise  # it was --help
        raise UserError(_usage_problem(options, prog, args)) from None
    if stray:
        raise UserError(_stray_problem(_known_flags(options, prog), stray))
    print(box.getvalue(), end="", file=sys.stderr)  # a warning of tyro's
    return chosen


def _tyro(options: type, prog: str, args: Sequence[str]) -> tuple[Any, list[str]]:
    """Parse with tyro; return the options and the arguments that belong to none of them."""
    return tyro.cli(
        options,
        prog=prog,
        description=_wrapped(inspect.getdoc(options) or ""),
        args=args,
        return_unknown_args=True,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def _wrapped(description: str) -> str:
    """Break the lines, which tyro leaves to the terminal; without a docstring's sections."""
    text = re.split(r"\n\n\w+\n-+\n", description)[0]
    width = min(shutil.get_terminal_size().columns, HELP_WIDTH) - 2
    paragraphs = [textwrap.fill(part, width) for part in text.split("\n\n")]
    # tyro joins lines unless they begin with a space, and doubles those that are empty: hence the
    # indentation, and lines of one zero-width space.
    return textwrap.indent("\n\u200b\n".join(paragraphs), "  ").replace("  \u200b", "\u200b")


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


# --- what is wrong with a command line -----------------------------------------------------------


def _stray_problem(known: Mapping[str, str], stray: Sequence[str]) -> str:
    """Name the first argument that no option takes, and the option that was probably meant."""
    first = stray[0]
    if not first.startswith("-"):
        return f"unexpected argument {first!r}: --help lists the options"
    name = _flag(first)
    word = name.strip("-")
    alike = [flag for flag in known if word in flag.split("-")]
    alike += [flag for flag, of in known.items() if word in of.lower().split()]
    alike += difflib.get_close_matches(name, known, n=1)
    remedy = f"the nearest is {alike[0]}" if alike else "--help lists the options"
    return f"unknown option {name}: {remedy}"


def _usage_problem(options: type, prog: str, args: Sequence[str]) -> str:
    """Say in one line what tyro says in a box."""
    known = _known_flags(options, prog)
    stray = [arg for arg in args if arg.startswith("--") and _flag(arg) not in known]
    if stray:  # tells more than an argument that is missing because of it
        return _stray_problem(known, stray)
    lines = _box_lines(options, prog, args)
    said = " ".join(lines)
    if found := re.search(r"Error parsing (\S+):", said):
        return f"{found[1]} takes {_metavar(lines, found[1])}, not {_given(args, found[1])!r}"
    if found := re.search(r"Missing value for argument '(.+?)'. Expected (\d+)", said):
        count = "a value" if found[2] == "1" else f"{found[2]} values"
        return f"{found[1]} needs {count}"
    if found := re.search(r"Missing from .*?: (\S+) (.*?)\.? \(required\)", said):
        return f"{found[1]} is missing: {found[2]}"
    if found := re.search(r"invalid choice '(.*?)' for argument '(.+?)'.*?\((.*?),?\)", said):
        choices = found[3].replace("'", "")
        return f"{found[2]} {found[1]}: choose {'from' if ',' in choices else 'only'} {choices}"
    return said


def _flag(arg: str) -> str:
    """Return an argument as its option is called: ``--max-jobs`` of ``--max_jobs=3``."""
    return arg.partition("=")[0].replace("_", "-")


def _metavar(lines: Sequence[str], flag: str) -> str:
    """Return what the help text has behind an option, such as INT."""
    shown = next((line for line in lines if line.startswith(f"{flag} ")), f"{flag} another value")
    return shown.removeprefix(f"{flag} ").removeprefix("{None}|")


def _given(args: Sequence[str], flag: str) -> str:
    """Return the value that an option was given last."""
    index = max(index for index, arg in enumerate(args) if _flag(arg) == flag)
    return args[index].partition("=")[2] or " ".join(args[index + 1 : index + 2])


def _known_flags(options: type, prog: str) -> dict[str, str]:
    """Return the options as the help text spells them, each with what stands for its value."""
    text = _captured(options, prog, ["--help"])
    return dict(re.findall(r"^[│ ]+(?:-h, )?(--[a-z][\w-]*)((?: [A-Z|.\[\]]+)*)", text, re.M))


def _box_lines(options: type, prog: str, args: Sequence[str]) -> list[str]:
    """Return the lines of tyro's message without frame, rules, and the hint at --help."""
    lines = [line.strip("╭╮╰╯│─ ") for line in _captured(options, prog, args).splitlines()]
    return [line for line in lines if line.strip("-") and "helptext" not in line]


def _captured(options: type, prog: str, args: Sequence[str]) -> str:
    """Return what tyro prints before it exits, with no line broken."""
    text, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        with (
            contextlib.suppress(SystemExit),
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
        ):
            _tyro(options, prog, args)
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return text.getvalue()
