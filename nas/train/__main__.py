"""``python -m nas.train``: train the supernet that a search of the same task begins with."""

import sys

from nas.train.options import TrainOptions
from rtl.cli import command


def main(options: TrainOptions) -> None:
    """Train a supernet, or go on with it where it was."""
    # Imported here: torch takes seconds to load, and --help or a wrong option does not need it.
    from nas.train.job import run

    run(options)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.train"))
