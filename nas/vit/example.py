"""The example's network, pictures and results; whatever is finished is kept in the run's folder."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from boards.host.pictures import prepare, prepare_all
from nas.cost.kept import KeptResults
from nas.importer import load
from nas.importer.network import FloatNetwork
from nas.vit.engine import SimulatedImage, run_image
from nas.vit.inputs import code_hash, engine_code_hash, input_hashes, measure_hash
from nas.vit.maps import Closeness, Tokens, float_tokens, integer_tokens
from nas.vit.rows import BOARD, Cost, Row, RowJob
from rtl.files import sha256_of
from rtl.model import IntegerModel

KEPT = "kept.txt"


@dataclass(frozen=True)
class MadeRow:
    """A row of the table: its model, and what that cost."""

    row: Row
    model: IntegerModel
    cost: Cost


@dataclass(frozen=True)
class Example:
    """A float network with pictures, in the folder of a run.

    Parameters
    ----------
    folder : Path
    source : str
        The float network, as :func:`nas.importer.load` takes it.
    calibration, test : tuple of Path
        Pictures.
    options : dict
        Options of the import.
    board : str
    console : Console
        Says what is finished.

    Attributes
    ----------
    kept : KeptResults
        Results by a hash of all that decides them; a run that was interrupted goes on from them.
    """

    folder: Path
    source: str
    calibration: tuple[Path, ...]
    test: tuple[Path, ...]
    options: dict[str, Any] = field(default_factory=dict)
    board: str = BOARD
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @cached_property
    def kept(self) -> KeptResults:
        return KeptResults(self.folder / KEPT)

    @cached_property
    def network(self) -> FloatNetwork:
        return load(self.source, **self.options)

    @cached_property
    def identity(self) -> str:
        """Hash of the network, the calibration pictures and the code."""
        hashes = [*input_hashes().values(), self.network.source["sha256"], code_hash()]
        return sha256_of(*hashes, json.dumps(self.options), *self.calibration)

    def once(self, name: str, of: Any, compute: Callable[[], Any]) -> Any:
        """Return a result that was kept, or compute it and keep it.

        Parameters
        ----------
        name : str
            Of the result, as it is reported.
        of : JSON value
            What decides it, besides :attr:`identity`.
        compute : callable
            Returns a JSON value.
        """
        key = sha256_of(name, self.identity, measure_hash(), json.dumps(of, sort_keys=True))
        if key not in self.kept.values:
            self.kept.add(key, compute())
            self.console.print(f"finished: {name}", highlight=False)
        return self.kept.values[key]

    def images(self, files: Sequence[Path]) -> Tensor:
        """Prepare pictures: (images, height, width, channels) uint8."""
        steps, shape = self.network.preprocessing, self.network.image
        return torch.from_numpy(prepare_all(files, steps, shape))

    @cached_property
    def calibration_images(self) -> Tensor:
        return self.images(self.calibration)

    @cached_property
    def test_images(self) -> Tensor:
        return self.images(self.test)

    @cached_property
    def expected(self) -> Tokens:
        """Final tokens and maps of the float network on the test pictures."""
        return float_tokens(self.network, self.test_images)

    def make(self, row: Row) -> MadeRow:
        """Quantize the network as a row says, unless that is done."""
        out = self.folder / f"{row.name}.pulsar"
        job = RowJob(row, self.source, self.options, self.calibration, out, self.board)
        key = sha256_of("row", self.identity, json.dumps(asdict(row)))
        cost = Cost(**self.kept.values[key]) if key in self.kept.values else None
        model = IntegerModel.load(out) if cost and out.is_file() else None
        if cost is None or model is None or model.hash != cost.model:
            cost = job.run()
            model = IntegerModel.load(out)
            self.kept.add(key, asdict(cost))
            self.console.print(f"finished: {out.name}, {cost.seconds:.0f} s", highlight=False)
        return MadeRow(row, model, cost)

    def closeness(self, made: MadeRow) -> Closeness:
        """Compare a row with the float network on the test pictures."""
        host = self.network.host
        assert host is not None

        def compute() -> dict[str, float]:
            found = integer_tokens(made.model, host, self.test_images)
            return asdict(Closeness.of(found, self.expected))

        pictures = sha256_of(*self.test)
        values = self.once(f"scores of {made.row.name}", [made.model.hash, pictures], compute)
        return Closeness(**values)

    def simulate(self, made: MadeRow, picture: Path) -> tuple[SimulatedImage, np.ndarray]:
        """Run a picture on the engine, unless that is done.

        Returns
        -------
        SimulatedImage
        (tokens, width) int32
            Residual words that the engine stored.
        """
        pixels = prepare(picture, self.network.preprocessing, self.network.image)
        tokens = self.folder / f"{made.row.name}-{picture.stem}.tokens.npy"
        key = self._engine_key(made, pixels)
        if key not in self.kept.values or not tokens.is_file():
            result = run_image(made.model, pixels, self.board, made.row.engine, tokens)
            self.kept.add(key, asdict(result))
        return SimulatedImage(**self.kept.values[key]), np.load(tokens)

    def _engine_key(self, made: MadeRow, pixels: np.ndarray) -> str:
        parts = (made.model.hash, made.row.engine, pixels.tobytes())
        return sha256_of("engine", engine_code_hash(), *parts)
