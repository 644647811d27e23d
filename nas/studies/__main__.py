"""``python -m nas.studies``: studies of the method on the digits."""

import sys

from nas.studies.options import StudyOptions
from rtl.cli import command


def main(options: StudyOptions) -> None:
    """Do one study."""
    # Imported here: torch takes seconds to load, and --help or a wrong option does not need it.
    from nas.studies import alone, ranking, splits

    {"alone": alone, "ranking": ranking, "splits": splits}[options.study].run(options)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.studies"))
