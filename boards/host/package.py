"""The package: one file with all that a board's host needs to run a network.

Source: docs/package.md.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boards.host import checks
from boards.host.errors import UserError
from boards.host.meaning import FeatureMeaning, LogitMeaning
from boards.host.preprocessing import Preprocessing

MAGIC = b"PULSARPK"
FORMAT = 3  # the highest that is read
PREFIX = struct.Struct("<8sII")  # magic, format, bytes of the header
CHECK = struct.Struct("<I")
ALIGNMENT = 64
DTYPES = {"region": "<u1", "sample": "<u1", "expected": "<i4"}
DTYPES.update({"matrix": "<f4", "bias": "<f4"})  # only where the output is tokens
DTYPES["indices"] = "<i4"  # only where these have indices
SUFFIX = ".package"


@dataclass(frozen=True)
class BoardFacts:
    """The board that a network was packaged for.

    Parameters
    ----------
    name : str
    clock_hz : int
    latency_cycles, bytes_per_cycle
        Of its memory, which a simulated device imitates.
    """

    name: str
    clock_hz: int
    latency_cycles: int
    bytes_per_cycle: float


@dataclass(frozen=True, eq=False)
class Package:
    """A network for one engine, and what its host needs besides.

    Parameters
    ----------
    producer : str
        Name and version of the program that wrote it.
    model, model_hash : str
        Name of the integer model, and its hash.
    board : BoardFacts
    engine : dict
        Name and sizes of the engine, and ``hash``, 16 hexadecimal digits.
    program_offset : int
        Where in the region the program begins; constants lie before it.
    output_bytes : int
        Size of an image's OUTPUT region.
    image : (height, width, channels)
    preprocessing : Preprocessing
    meaning : LogitMeaning or FeatureMeaning
    region : bytes
        Content of the MODEL region.
    sample : (height, width, channels) uint8
        An image for the self-test.
    expected : (...) int32
        Output of the golden model for it.
    indices : (tokens,) int32, optional
        Index in the image of each token of the output, where it has them.
    """

    producer: str
    model: str
    model_hash: str
    board: BoardFacts
    engine: dict[str, Any]
    program_offset: int
    output_bytes: int
    image: tuple[int, int, int]
    preprocessing: Preprocessing
    meaning: LogitMeaning | FeatureMeaning
    region: bytes
    sample: np.ndarray
    expected: np.ndarray
    indices: np.ndarray | None = None

    @property
    def engine_hash(self) -> int:
        """The number that the engine's register ``engine`` must hold."""
        return int(self.engine["hash"], 16)

    @property
    def format(self) -> int:
        """The lowest format that holds it.

        Attention pooling, without a LayerNorm, needs 2; an index for each token needs 3.
        """
        meaning = self.meaning
        if isinstance(meaning, LogitMeaning):
            return 1
        if meaning.index_column is not None:
            return 3
        return 2 if meaning.epsilon is None else 1

    @property
    def image_bytes(self) -> int:
        """Bytes of an image."""
        height, width, channels = self.image
        return height * width * channels

    @property
    def program_bytes(self) -> int:
        """Bytes of the program."""
        return len(self.region) - self.program_offset

    def encode(self) -> bytes:
        """Return the file's bytes, equal for equal packages."""
        sections, places, at = self._sections(), {}, 0
        for name, array in sections.items():
            content = array.tobytes()
            places[name] = {
                "offset": at,
                "shape": list(array.shape),
                "crc32": f"{zlib.crc32(content):08x}",
            }
            at += _rounded(len(content))
        header = json.dumps(self._header() | {"sections": places}, sort_keys=True).encode()
        header += b" " * (_rounded(PREFIX.size + len(header)) - PREFIX.size - len(header))
        data = PREFIX.pack(MAGIC, self.format, len(header)) + header
        for array in sections.values():
            content = array.tobytes()
            data += content + bytes(_rounded(len(content)) - len(content))
        return data + CHECK.pack(zlib.crc32(data))

    @classmethod
    def load(cls, path: Path | str) -> Package:
        """Read and check a file.

        Raises
        ------
        UserError
            If it is missing, not a package, of another format, damaged, or does not make sense.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        try:
            return decode(path.read_bytes())
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def _header(self) -> dict[str, Any]:
        constants = zlib.crc32(self.region[: self.program_offset])
        return {
            "producer": self.producer,
            "model": {"name": self.model, "hash": self.model_hash},
            "board": dict(vars(self.board)),
            "engine": self.engine,
            "memory": {
                "program_offset": self.program_offset,
                "program_bytes": self.program_bytes,
                "model_bytes": len(self.region),
                "image_bytes": self.image_bytes,
                "output_bytes": self.output_bytes,
                "constants_crc32": f"{constants:08x}",
            },
            "image": list(self.image),
            "preprocessing": self.preprocessing.header(2),
            "output": self._output(),
        }

    def _output(self) -> dict[str, Any]:
        meaning = self.meaning
        if isinstance(meaning, LogitMeaning):
            names = list(meaning.class_names)
            return {"kind": "logits", "class_names": names, "output_scale": meaning.output_scale}
        keys = ["tokens", "patches", "width", "row_values", "epsilon", "scale", "pool"]
        if meaning.index_column is not None:
            keys.append("index_column")
        return {"kind": "tokens"} | {key: getattr(meaning, key) for key in keys}

    def _sections(self) -> dict[str, np.ndarray]:
        arrays: dict[str, Any] = {
            "region": np.frombuffer(self.region, np.uint8),
            "sample": self.sample,
            "expected": self.expected,
        }
        if isinstance(self.meaning, FeatureMeaning):
            arrays.update(matrix=self.meaning.matrix, bias=self.meaning.bias)
        if self.indices is not None:
            arrays["indices"] = self.indices
        return {name: np.asarray(array, DTYPES[name]) for name, array in arrays.items()}


def decode(data: bytes) -> Package:
    """Return the package in a file's bytes; ``UserError`` if there is none."""
    if len(data) < PREFIX.size + CHECK.size or not data.startswith(MAGIC):
        raise UserError("not a package: write one with python -m rtl.compiler MODEL --package FILE")
    _, number, header_bytes = PREFIX.unpack_from(data)
    if not 1 <= number <= FORMAT:
        raise UserError(
            f"format is {number}, this driver reads 1 to {FORMAT}: package the model again"
        )
    if CHECK.pack(zlib.crc32(data[: -CHECK.size])) != data[-CHECK.size :]:
        raise UserError("damaged: its CRC-32 is wrong; copy it again")
    first = PREFIX.size + header_bytes
    try:
        header = json.loads(data[PREFIX.size : first])
        arrays = dict(_arrays(header["sections"], memoryview(data)[first : -CHECK.size]))
        return _package(header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        said = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"not a package of format {number}: {said}") from None


def _arrays(sections: dict[str, Any], body: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    for name, place in sections.items():
        dtype, shape = np.dtype(DTYPES[name]), tuple(place["shape"])
        count = int(np.prod(shape, dtype=int)) * dtype.itemsize
        content = body[place["offset"] : place["offset"] + count]
        if f"{zlib.crc32(content):08x}" != place["crc32"]:
            raise ValueError(f"the CRC-32 of section {name} is wrong")
        yield name, np.frombuffer(content, dtype).reshape(shape)


def _package(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Package:
    memory, image = header["memory"], tuple(header["image"])
    region = arrays["region"].tobytes()
    checks.integer("memory.model_bytes", memory["model_bytes"], len(region), len(region))
    checks.integer("memory.program_offset", memory["program_offset"], 0, len(region))
    if f"{zlib.crc32(region[: memory['program_offset']]):08x}" != memory["constants_crc32"]:
        raise ValueError("the CRC-32 of the constants is wrong")
    steps = dict(header["preprocessing"], crop=tuple(header["preprocessing"]["crop"]))
    if isinstance(steps["resize"], list):
        steps["resize"] = tuple(steps["resize"])
    preprocessing = Preprocessing(**steps)
    preprocessing.check(image)
    return Package(
        producer=header["producer"],
        model=header["model"]["name"],
        model_hash=header["model"]["hash"],
        board=BoardFacts(**header["board"]),
        engine=header["engine"],
        program_offset=memory["program_offset"],
        output_bytes=memory["output_bytes"],
        image=image,
        preprocessing=preprocessing,
        meaning=_meaning(dict(header["output"]), arrays),
        region=region,
        sample=arrays["sample"],
        expected=arrays["expected"],
        indices=arrays.get("indices"),
    )


def _meaning(
    output: dict[str, Any], arrays: dict[str, np.ndarray]
) -> LogitMeaning | FeatureMeaning:
    kind = output.pop("kind")
    checks.choice("output.kind", kind, ("logits", "tokens"))
    if kind == "tokens":
        width, last = output["width"], output["row_values"] - 1
        if "index_column" in output:
            checks.integer("output.index_column", output["index_column"], width, last)
            if arrays["indices"].shape != (output["tokens"],):
                raise ValueError("section indices has another length than output.tokens")
        return FeatureMeaning(matrix=arrays["matrix"], bias=arrays["bias"], **output)
    return LogitMeaning(tuple(output["class_names"]), output["output_scale"])


def _rounded(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
