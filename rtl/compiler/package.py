"""A package of a compiled model: the one file that a board's host reads.

Source: docs/package.md. The file's form is :mod:`boards.host.package`'s.
"""

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from boards.host.package import BoardFacts, Package
from boards.host.plugins import offered
from rtl.board import Board, load_board
from rtl.compiler import Compiled, compile_model
from rtl.config import EngineConfig
from rtl.config import engine as engine_of
from rtl.errors import UserError
from rtl.files import atomic_write
from rtl.model import IntegerModel
from rtl.model.keep import original_tokens

Reference = Callable[..., np.ndarray]
"""From a model and (images, height, width, channels) uint8 to its output, as `sim.golden.run`; its
tensors go into a dictionary ``tensors``."""
DISTRIBUTION = "pulsar-vit"


def reference() -> Reference:
    """Return the golden model, which belongs to ``sim``: it registers itself.

    Raises
    ------
    UserError
        If ``sim`` is not installed.
    """
    try:
        return offered("pulsar.reference")["golden"].load()
    except (KeyError, ModuleNotFoundError):
        raise UserError(
            "a package holds an image with its logits, and no golden model is installed:"
            f" pip install '{DISTRIBUTION}[sim]'"
        ) from None


def package_of(
    compiled: Compiled, board: Board, engine: EngineConfig, name: str, golden: Reference
) -> Package:
    """Package a compiled model.

    Parameters
    ----------
    compiled : Compiled
    board : Board
    engine : EngineConfig
        The one that it was compiled for.
    name : str
        Of the model, in tables.
    golden : Reference
        Computes the output of the self-test's image.

    Raises
    ------
    UserError
        If the board's memory does not hold model and image; names both sizes.
    """
    try:
        board.require_memory(compiled.memory.least_bytes)
    except UserError as error:
        raise UserError(f"{name} {error}") from None
    model = compiled.model
    sample = _sample(model.image)
    tensors: dict[str, np.ndarray] = {}
    expected = golden(model, sample[None], tensors=tensors)[0]
    indices = None
    if model.shape.indexed:
        indices = original_tokens(tensors, model.shape, len(model.blocks))[0]
    return Package(
        producer=f"{DISTRIBUTION} {_version()}",
        model=name,
        model_hash=model.hash,
        board=BoardFacts(
            board.name, board.clock_hz, board.memory.latency_cycles, board.bytes_per_cycle()
        ),
        engine=engine.to_json() | {"hash": f"{engine.hash:016x}"},
        program_offset=compiled.memory.program_offset,
        output_bytes=compiled.memory.output_bytes,
        image=model.image,
        preprocessing=model.preprocessing,
        meaning=compiled.meaning,
        region=compiled.region,
        sample=sample,
        expected=expected,
        indices=indices,
    )


def package_file(path: Path, board: str, engine: str | None = None) -> Package:
    """Compile and package an integer model's file, for a board's engine or another one."""
    golden, place = reference(), load_board(board)
    chosen = engine_of(engine or place.engine)
    model = IntegerModel.load(path)
    return package_of(compile_model(model, chosen), place, chosen, path.name, golden)


def write_package(package: Package, path: Path) -> None:
    """Write the file, whole or not at all."""
    with atomic_write(path) as file:
        file.write(package.encode())


def _sample(image: tuple[int, int, int]) -> np.ndarray:
    """Pixels without a pattern, the same ones on every machine."""
    digest = hashlib.shake_256(b"pulsar-vit self-test").digest(int(np.prod(image)))
    return np.frombuffer(digest, np.uint8).reshape(image)


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # from a source tree that is not installed
        return "unknown"
