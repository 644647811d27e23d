"""The memory's content in a bitstream, exchanged after place and route.

The design is placed and routed with a *placeholder*, random words by which Project Trellis' ecpbram
finds the memory's bits in any block RAM, and exchanges them in seconds.
"""

import json
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from boards.host.package import Package
from rtl.build.route import pack, run_tool
from rtl.cli import command
from rtl.errors import ToolError, UserError
from rtl.soc.blocks import WORD_BITS, WORD_BYTES
from rtl.soc.memory import BANK_WORDS

BLOCKS = 8  # block RAMs of a bank
SEED = 0x16D8
BLOCK = re.compile(r"^\.bram_init \d+\n(?:.+\n)+", re.MULTILINE)
CONFIG, RECORD = "design.config", "content.json"


def placeholder(words: int) -> list[int]:
    """Return the words of 128 bits that a memory of so many is routed with."""
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
        If a tool fails, or does not find the placeholder in all of the memory's block RAMs.
    """
    for file, content in (("placeholder.hex", placeholder(len(words))), ("content.hex", words)):
        digits = WORD_BITS // 4
        (folder / file).write_text("".join(f"{word:0{digits}x}\n" for word in content))
    target = "content.config"
    names = ["--from", "placeholder.hex", "--to", "content.hex"]
    run_tool("ecpbram", ["--input", CONFIG, "--output", target, *names], folder)
    before, after = (BLOCK.findall((folder / file).read_text()) for file in (CONFIG, target))
    changed = len(set(after) - set(before))
    expected = BLOCKS * -(-len(words) // BANK_WORDS)
    if len(before) != len(after) or len(set(before) - set(after)) != expected:
        raise ToolError(
            f"ecpbram changed {changed} block RAMs of {folder / CONFIG}, not {expected}: it was not"
            " routed with the placeholder"
        )
    pack(folder, name, target)


@dataclass(frozen=True)
class ContentOptions:
    """Make a bitstream that holds a network from the start, out of one that was placed and routed.

    FOLDER is what python -m rtl.build --bitstream left, pulsar_ENGINE_bitstream. The new bitstream
    lies in it, with the package's name. Takes seconds: nothing is placed or routed again.
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
            " python -m rtl.build --bitstream makes one"
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
