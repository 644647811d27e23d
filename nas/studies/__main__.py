"""``python -m nas.studies``: studies of the method."""

import sys
from importlib import import_module

from nas.studies.options import StudyOptions
from rtl.cli import command


def main(options: StudyOptions) -> None:
    """Do one study."""
    # Imported here: torch takes seconds to load, and --help or a wrong option does not need it.
    import_module(f"nas.studies.{options.study}").run(options)


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m nas.studies"))
