"""The memory's content in a bitstream, exchanged after place and route.

The design is placed and routed with a *placeholder*, random words by which the memory's bits are
found in any block RAM, and exchanged in seconds. Project Trellis' ecpbram does so, too, but does
not say whether it found them all.
"""

import json
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from boards.host.package import Package
from rtl.build.columns import ROW_BITS, ROWS, ContentColumns
from rtl.build.route import pack
from rtl.cli import command
from rtl.errors import ToolError, UserError
from rtl.soc.blocks import WORD_BITS, WORD_BYTES

HALF_BITS = ROW_BITS // 2
SEED = 0x16D8
BLOCK = re.compile(r"^(?P<name>\.bram_init \d+\n)(?P<values>(?:[0-9a-f ]+\n)+)", re.MULTILINE)
CONFIG, RECORD = "design.config", "content.json"


def placeholder(words: int) -> list[int]:
    """Return the words that a memory of so many is routed with."""
    numbers = random.Random(SEED)
    return [numbers.getrandbits(WORD_BITS) for _ in range(words)]


def words_of(region: bytes, words: int) -> list[int]:
    """Return bytes as words of memory, zeros behind them.

    Raises
    ------
    UserError
        If they do not fit.
    """
    if len(region) > words * WORD_BYTES:
        raise UserError(f"{len(region):,} bytes do not fit memory of {words * WORD_BYTES:,}")
    padded = region.ljust(words * WORD_BYTES, b"\0")
    return [
        int.from_bytes(padded[at : at + WORD_BYTES], "little")
        for at in range(0, len(padded), WORD_BYTES)
    ]


def exchange(folder: Path, words: Sequence[int], name: str) -> None:
    """Make the bitstream ``folder/name`` whose memory holds ``words`` from the start.

    Raises
    ------
    ToolError
        If a tool fails, or the placeholder is not all there.
    """
    columns = ContentColumns(placeholder(len(words)), words)
    found = 0

    def changed(block: re.Match) -> str:
        nonlocal found
        rows = _rows(block["values"])
        count = columns.exchange(rows)
        found += count
        return block["name"] + _text(rows) if count else block[0]

    config = BLOCK.sub(changed, (folder / CONFIG).read_text())
    if found != columns.count:
        raise ToolError(
            f"{folder / CONFIG} holds {found:,} of {columns.count:,} columns of the memory: it was"
            " not routed with the placeholder"
        )
    target = "content.config"
    (folder / target).write_text(config)
    pack(folder, name, target)


def _rows(text: str) -> np.ndarray:
    """Read a block RAM's rows: two numbers of 9 bits each, the lower half first."""
    halves = np.array([int(value, 16) for value in text.split()], np.uint16)
    bits = halves[:, None] >> np.arange(HALF_BITS, dtype=np.uint16) & 1
    return (bits.astype(np.uint8) + ord("0")).reshape(ROWS, ROW_BITS)


def _text(rows: np.ndarray) -> str:
    """Write what :func:`_rows` reads, eight numbers in a line."""
    bits = (rows - ord("0")).astype(np.uint16).reshape(-1, HALF_BITS)
    halves = (bits << np.arange(HALF_BITS, dtype=np.uint16)).sum(axis=1)
    lines = halves.reshape(-1, 8)
    return "".join(" ".join(f"{value:03x}" for value in line) + "\n" for line in lines)


@dataclass(frozen=True)
class ContentOptions:
    """Make a bitstream that holds a network from the start, out of one that was placed and routed.

    FOLDER is pulsar_ENGINE_bitstream, which python -m rtl.build left for the board. The new
    bitstream lies in it, with the package's name. Takes seconds: nothing is placed or routed again.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with design.config."""
    package: Annotated[Path, tyro.conf.Positional]
    """Package of the network, from python -m rtl.compiler."""


def main(options: ContentOptions) -> None:
    """Exchange the content."""
    package = Package.load(options.package)
    record = options.folder / RECORD
    if not record.is_file() or not (options.folder / CONFIG).is_file():
        raise UserError(
            f"{options.folder} is no folder of a bitstream:"
            " python -m rtl.build --board ulx3s makes one"
        )
    made = json.loads(record.read_text())
    if made["engine"] != package.engine["hash"]:
        raise UserError(
            f"{options.package} is for engine {package.engine['hash']},"
            f" the bitstream holds {made['engine']}: package it for that one"
        )
    name = f"{options.package.stem}.bit"
    exchange(options.folder, words_of(package.region, made["words"]), name)
    print(f"Wrote {options.folder / name}")


if __name__ == "__main__":
    sys.exit(command(main, prog="python -m rtl.build.content"))
