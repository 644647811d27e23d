"""``python -m nas.evaluate``: accuracy of an integer model beside its float network."""

import sys

from nas.evaluate.options import EvaluateOptions
from rtl.cli import command


def main(options: EvaluateOptions) -> None:
    """Evaluate a model on a folder of images."""
    # Imported here: torch takes seconds to load, and --help or a wrong option does not need it.
    from nas.evaluate.job import run

    run(options)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.evaluate"))
