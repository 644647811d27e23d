"""A trained network from elsewhere, as a recipe names it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from nas.importer.checks import tensors
from nas.importer.network import FloatNetwork


@dataclass(frozen=True)
class NetworkSource:
    """Place of a trained network, and the hash of its content.

    Parameters
    ----------
    name : str
        A file or a folder, or timm's name.
    checkpoint : str, optional
        Weights of a timm model that is given by its name.
    mean, std : tuple of float, optional
        Of each channel in the network's training, of pixels from 0 to 1, where no file says them.
    sha256 : str
        Of what was read there: 64 hexadecimal digits. It alone counts in a recipe's key.
    """

    name: str
    checkpoint: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    sha256: str = ""

    @property
    def resolved(self) -> "NetworkSource":
        """The same source, by paths that hold in any working directory."""
        checkpoint = self.checkpoint and _absolute(self.checkpoint)
        return replace(self, name=_absolute(self.name), checkpoint=checkpoint)


def content_hash(network: FloatNetwork) -> str:
    """Hash all weights of a network, and what else decides its result: 64 hexadecimal digits."""
    blocks = [(block.heads, block.activation) for block in network.blocks]
    epsilons = [block.norm1.epsilon for block in network.blocks]
    about = (network.image, network.patch, network.head_dim, network.pool, blocks, epsilons)
    return hash_of(repr((*about, network.class_names)), tensors(network))


def hash_of(about: str, values: Iterable[tuple[str, Tensor]]) -> str:
    """Hash a text and named tensors: 64 hexadecimal digits."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in values:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _absolute(name: str) -> str:
    path = Path(name)
    return str(path.resolve()) if path.exists() else name
