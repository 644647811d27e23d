"""``python -m nas.search``: the main job, from training to networks that run on the RTL."""

import sys

from nas.search.options import SearchOptions
from rtl.cli import command


def main(options: SearchOptions) -> None:
    """Search the digits supernet for the most accurate networks that reach given frame rates."""
    try:
        # Imported here: torch takes seconds to load, and --help or a wrong option does not need it.
        from nas.search.job import run

        run(options)
    except KeyboardInterrupt as stop:
        again = "the command without --restart" if options.restart else "the same command"
        raise KeyboardInterrupt(
            str(stop) or f"interrupted: what was done is saved, {again} resumes"
        ) from None


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.search"))
