"""``python -m boards.overhead``: the time that the driver itself takes for an image."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from boards.host.accelerator import START, Accelerator
from boards.host.errors import UserError
from boards.host.package import Package
from boards.host.registers import IDENTITY, REGISTERS, STATUS_BITS, VERSION
from boards.host.reports import require_place, write_report
from boards.host.transport import Transport

PROG = "python -m boards.overhead"
SCHEMA = 1
MEMORY_BYTES = 1 << 24
ABOUT = """Measure the time that the driver itself takes for an image: that of a run on a device
which answers at once and computes nothing. Prints the median.
"""
OFFSETS = {name: offset for name, (offset, _, _) in REGISTERS.items()}


class InstantTransport(Transport):
    """A device that is done as soon as it is started; what it puts out is what lies there."""

    def __init__(self, engine_hash: int):
        self.memory_bytes = MEMORY_BYTES
        self.memory = bytearray(MEMORY_BYTES)
        self.words = {
            OFFSETS["identity"]: IDENTITY,
            OFFSETS["version"]: VERSION,
            OFFSETS["engine"]: engine_hash & 0xFFFFFFFF,
            OFFSETS["engine"] + 4: engine_hash >> 32,
        }

    def read32(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        self.words[offset] = value
        if offset == OFFSETS["control"]:
            done = value == START
            self.words[OFFSETS["status"]] = done << STATUS_BITS.index("done")
            self.words[OFFSETS["images_done"]] = self.words.get(OFFSETS["images"], 1) * done

    def put(self, offset: int, data: bytes) -> None:
        self.memory[offset : offset + len(data)] = data

    def get(self, offset: int, count: int) -> bytes:
        return bytes(self.memory[offset : offset + count])

    def close(self) -> None:
        self.memory = bytearray()


def measure(package: Package, runs: int) -> list[float]:
    """Seconds of each of several runs of one image."""
    seconds = []
    with Accelerator(InstantTransport(package.engine_hash)) as engine:
        engine.load(package, self_test=False)
        for _ in range(runs):
            before = time.perf_counter()
            engine.classify(package.sample)
            seconds.append(time.perf_counter() - before)
    return seconds


def main(arguments: list[str] | None = None) -> int:
    """Print the median, and write it where ``--json`` says; 2 where the package is none."""
    parser = argparse.ArgumentParser(PROG, description=ABOUT)
    parser.add_argument("package", type=Path, metavar="PACKAGE", help="file from rtl.compiler")
    parser.add_argument("--runs", type=int, default=1000, help="runs of one image each (1000)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the median, too")
    options = parser.parse_args(arguments)
    try:
        if options.runs < 1:
            raise UserError(f"--runs must be at least 1, not {options.runs}")
        require_place(options.json, [options.package])
        seconds = measure(Package.load(options.package), options.runs)
        median = statistics.median(seconds)
        print(f"{median * 1e6:.0f} us per image, the median of {len(seconds)} runs of one image")
        if options.json:
            report = {"schema": SCHEMA, "runs": len(seconds), "median_s": median}
            write_report(options.json, report)
        return 0
    except (UserError, OSError) as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
