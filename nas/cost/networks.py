"""Networks by name: an integer model file, or a network that can be imported.

An integer model file needs neither torch nor timm; they are imported for other networks alone.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nas.importer.options import NetworkOptions
from nas.importer.source import WEIGHTS
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model import IntegerModel, repack
from rtl.model.keep import parse_keep, with_keep
from rtl.model.shape import NetworkShape

PLAIN = NetworkOptions()
FLOAT_FILES = (".onnx", *WEIGHTS)


@dataclass(frozen=True)
class NamedNetwork:
    """A network by name, of which the shape alone is read.

    Parameters
    ----------
    name : str
        An integer model file; an ONNX file, or a folder with a model; or the name of a plain
        timm model ``vit_*``, ``deit_*`` or ``deit3_*``: ``deit_small`` is short for
        ``deit_small_patch16_224``. A name of one without a classifier gets 1,000 classes.
    bits8 : float
        Fraction of 8-bit row tiles in each matrix except the patch embedding, for all but integer
        model files.
    options : NetworkOptions
    keep : str, optional
        Patches that stay behind blocks, as :func:`rtl.model.keep.parse_keep` reads them; for all
        but integer model files.
    """

    name: str
    bits8: float = 0.0
    options: NetworkOptions = PLAIN
    keep: str | None = None

    def __str__(self) -> str:
        mixed = f", {self.bits8:.0%} of the row tiles with 8 bits" if self.bits8 else ""
        kept = f", keep {self.keep}" if self.keep else ""
        return self.name + mixed + kept

    def shape(self, granularity: int = 1) -> NetworkShape:
        """Return the shape of the network.

        Parameters
        ----------
        granularity : int
            Rows per tile with weights of one width; smaller tiles of a file are merged.

        Raises
        ------
        UserError
            If there is no such network, or a part of it that the engine cannot run.
        """
        if self.is_integer:
            return self._shape_in_file(granularity)
        if _is_float(self.name) or self.options.checkpoint:
            from nas.cost.imported import imported_sizes  # torch, onnx or timm

            sizes = imported_sizes(self.name, self.options, selects=self.keep is not None)
        else:
            from nas.cost.timm_models import timm_sizes  # torch and timm

            sizes = timm_sizes(self.name, self.options)
        shape = sizes.with_row_tiles(granularity, self.bits8)
        return shape if self.keep is None else with_keep(shape, parse_keep(self.keep, shape))

    def shape_on(self, engine: EngineConfig) -> NetworkShape:
        """Return the shape of the network in row tiles of an engine.

        Raises
        ------
        UserError
            As :meth:`shape`, or if the model file has another ``act_bits`` than the engine.
        """
        if self.is_integer and self.model.act_bits != engine.act_bits:
            raise UserError(
                f"model has act_bits {self.model.act_bits}, engine '{engine.name}'"
                f" {engine.act_bits}"
            )
        return self.shape(engine.row_lanes)

    @property
    def is_integer(self) -> bool:
        """Whether the name is that of an integer model file."""
        path = Path(self.name)
        return path.suffix == ".pulsar" or (path.is_file() and not _is_float(self.name))

    @property
    def model(self) -> IntegerModel:
        """The integer model in the file."""
        return _load(self.name)

    def _shape_in_file(self, granularity: int) -> NetworkShape:
        if self.bits8:
            raise UserError("--w8 is for float networks: a model file has its 8-bit rows already")
        if self.keep is not None:
            raise UserError("--keep is for float networks: a model file says what its blocks keep")
        self.options.refuse_for(Path(self.name).name, "checkpoint", "classes", "image_size")
        repacked = self.model.row_granularity % granularity
        return (repack(self.model, granularity) if repacked else self.model).shape


def _is_float(name: str) -> bool:
    """Whether a name is that of a float network's file or folder."""
    return Path(name).suffix in FLOAT_FILES or Path(name).is_dir()


@cache
def _load(name: str) -> IntegerModel:
    """Read an integer model file, once."""
    return IntegerModel.load(Path(name))
