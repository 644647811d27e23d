"""From a file's header and tensors to the fields of an integer model.

Source: docs/format.md.
"""

from typing import Any

import numpy as np

from boards.host import checks
from boards.host.preprocessing import Preprocessing
from rtl.errors import UserError
from rtl.model.block import Block
from rtl.model.features import ATTENTION, POOLS, Features, HostNetwork, keys_of
from rtl.model.fields import Fields
from rtl.model.file import Header, Tensors
from rtl.model.parts import (
    LINEAR_DTYPES,
    SCALE_DTYPES,
    SIZE_MAX,
    Classifier,
    Front,
    HeadScales,
    Linear,
    Norm,
    Pool,
)


def decode(header: Header, tensors: Tensors) -> dict[str, Any]:
    """Turn header and tensors into the fields of an integer model.

    Finds what is missing and what is left over. Types and ranges of the values are checked by the
    model itself.

    Raises
    ------
    UserError
        If a key or tensor is missing, or does not belong to a model of the header's format.
    """
    return _Decoder(header["format"], tensors).model(header)


class _Decoder:
    def __init__(self, format_number: int, tensors: Tensors):
        self._format = format_number
        self._tensors = dict(tensors)

    def model(self, header: Header) -> dict[str, Any]:
        top = Fields("header", header)
        top.take("format")
        image = top.object("image")
        model = {
            "image": tuple(image.take(key) for key in ("height", "width", "channels")),
            "embed": self.linear("embed", top),
            "position": self.tensor("position"),
            "blocks": tuple(
                self.block(f"blocks.{i}", Fields(f"blocks.{i}", block))
                for i, block in enumerate(top.list("blocks"))
            ),
            **self.output(top),
            "class_names": tuple(top.list("class_names")),
            "preprocessing": self.preprocessing(top.object("preprocessing")),
        }
        image.finish()
        for key in (
            "producer",
            "act_bits",
            "row_granularity",
            "patch",
            "width",
            "head_dim",
            "info",
        ):
            model[key] = top.take(key)
        if self._format > 1:
            model["registers"] = top.take("registers")
        if self._format > 2:
            model["front"] = self.front(top)
        top.finish()
        for name in self._tensors:
            raise UserError(f"tensor {checks.shown(name)} does not belong to this model")
        return model

    def block(self, name: str, block: Fields) -> Block:
        code = block.object("hidden_code")
        result = Block(
            heads=block.take("heads"),
            hidden=block.take("hidden"),
            norm1=self.norm(f"{name}.norm1", block),
            q=self.linear(f"{name}.q"),
            k=self.linear(f"{name}.k"),
            v=self.linear(f"{name}.v"),
            softmax=_head_scales(block.object("softmax")),
            context=_head_scales(block.object("context")),
            proj=self.linear(f"{name}.proj", block),
            norm2=self.norm(f"{name}.norm2", block),
            fc1=self.linear(f"{name}.fc1"),
            gelu=self.tensor(f"{name}.gelu"),
            hidden_signed=code.take("signed"),
            hidden_zero=code.take("zero"),
            fc2=self.linear(f"{name}.fc2", block),
            **self.second_table(f"{name}.hidden_code", code),
            keep=self.keep(name, block),
        )
        code.finish()
        block.finish()
        return result

    def linear(self, name: str, parent: Fields | None = None) -> Linear:
        """Read a layer; one that writes the residual stream has an entry in ``parent``."""
        tensors: dict[str, Any] = {key: self.tensor(f"{name}.{key}") for key in LINEAR_DTYPES}
        if parent is None:
            return Linear(**tensors)
        entry = parent.object(name.rpartition(".")[2])
        residual_shift = entry.take("residual_shift")
        entry.finish()
        return Linear(**tensors, residual_shift=residual_shift)

    def norm(self, name: str, parent: Fields) -> Norm:
        entry = parent.object(name.rpartition(".")[2])
        keys = ("epsilon", "gain", "shift", "zero", "signed")
        values = {key: entry.take(key) for key in keys}
        entry.finish()
        return Norm(**values, exponent=self.tensor(f"{name}.exponent"))

    def front(self, top: Fields) -> Front | None:
        """Read what is between the patch embedding and the blocks; null where nothing is."""
        if (value := top.take("front")) is None:
            return None
        entry = Fields("header.front", value)
        front = Front(self.norm("front.norm", entry), self.linear("front"))
        entry.finish()
        return front

    def second_table(self, name: str, code: Fields) -> dict[str, Any]:
        """Fields of a block with two GELU tables; none where there is one."""
        keys = ("first_units", "second_zero")
        if self._format == 1 or not any(code.has(key) for key in keys):
            return {}
        values = {key: code.take(key) for key in keys}
        # Null stands for one table in a block, but not in a file.
        checks.integer(f"{name}.first_units", values["first_units"], 1, SIZE_MAX)
        return values

    def keep(self, name: str, block: Fields) -> int | None:
        """Patches that a block keeps; none where it says nothing, which null does not stand for."""
        if self._format < 4 or not block.has("keep"):
            return None
        keep = block.take("keep")
        checks.integer(f"{name}.keep", keep, 1, SIZE_MAX)
        return keep

    def output(self, top: Fields) -> dict[str, Any]:
        """Fields of the model that say what it puts out."""
        output = top.take("output") if self._format > 1 else "logits"
        checks.choice("output", output, ("logits", "tokens"))
        pool = top.take("pool")
        pools = POOLS if output == "tokens" else ("token", "mean")
        known = tuple(kind for kind in pools if kind != ATTENTION or self._format > 2)
        checks.choice("pool", pool, known)
        class_token = True if pool == "token" else top.take("class_token")
        return {
            "class_token": class_token,
            "output": self.features(top, pool)
            if output == "tokens"
            else self.classifier(top, pool),
        }

    def classifier(self, top: Fields, pool: str) -> Classifier:
        scales: dict[str, Any] = {}
        if pool == "mean":
            scales = {key: self.tensor(f"pool.{key}") for key in SCALE_DTYPES}
        return Classifier(
            classes=top.take("classes"),
            norm=self.norm("norm", top),
            head=self.linear("head"),
            output_scale=top.take("output_scale"),
            pool=Pool(**scales) if scales else None,
        )

    def features(self, top: Fields, pool: str) -> Features:
        tensors: dict[str, Any] = {"epsilon": None}
        tensors |= {key: self.tensor(f"features.{key}") for key in keys_of(pool)}
        host = None
        if (entry := top.take("host")) is not None:
            keys = Fields("header.host", entry)
            host = HostNetwork(keys.take("file"), keys.take("sha256"))
            keys.finish()
        return Features(**tensors, pool=pool, host=host)

    def preprocessing(self, entry: Fields) -> Preprocessing:
        crop: Any = tuple(entry.list("crop"))
        resize = entry.take("resize")
        if self._format > 1 and type(resize) is list:
            resize = tuple(resize)
        keys = ("mode", "interpolation", "invert") + ("margin", "pad") * (self._format > 1)
        values = {key: entry.take(key) for key in keys}
        entry.finish()
        return Preprocessing(crop=crop, resize=resize, **values)

    def tensor(self, name: str) -> np.ndarray:
        if name not in self._tensors:
            raise UserError(f"tensor {name} is missing")
        return self._tensors.pop(name)


def _head_scales(entry: Fields) -> HeadScales:
    scales = HeadScales(tuple(entry.list("multiplier")), tuple(entry.list("shift")))
    entry.finish()
    return scales
