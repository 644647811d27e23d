"""``python -m nas.finetune``: train the winners of a search further, each alone."""

import sys

from nas.finetune.options import FinetuneOptions
from rtl.cli import command


def main(options: FinetuneOptions) -> None:
    """Train the winners of a search further, each alone."""
    # Imported here: torch takes seconds to load, and --help or a wrong option does not need it.
    from nas.finetune.job import run

    run(options)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.finetune"))
