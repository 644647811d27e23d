"""The report of a model on images: ``report.html`` of nas.evaluate and nas.quantize."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nas.cost import HardwareTarget
from nas.cost.estimate import Estimate
from nas.evaluate.answers import classes_of, float_answers, integer_answers, matching
from nas.evaluate.compare import joined, measure
from nas.evaluate.noise import NoiseMeter
from nas.evaluate.pictures import pictures
from nas.evaluate.result import Evaluation
from nas.importer.network import FloatNetwork, converted
from nas.report.axis import percent
from nas.report.content import Fact, Network, Picture, Point, Quality, Report
from nas.report.tiles import eight_bit_share
from rtl.errors import UserError
from rtl.model import IntegerModel
from rtl.model.shape import NetworkShape
from sim.host import Host

PICTURES = 6
"""Images that are shown, evenly spread."""
NOISE_IMAGES = 8  # of a report without an evaluation: each takes about 25 passes
BATCH = 8


def report_beside(
    name: str,
    model: IntegerModel,
    network: FloatNetwork,
    host: Host | None,
    hardware: HardwareTarget,
    images: Tensor,
    data: str,
) -> Report:
    """Compare a model with its float network on images without labels.

    Parameters
    ----------
    name : str
        Of the model's file.
    model : IntegerModel
    network : FloatNetwork
        In float64.
    host : callable, optional
        Network behind the features.
    hardware : HardwareTarget
    images : (images, height, width, channels) uint8
    data : str
        The images, in words.
    """
    network = matching(network, model)
    exact = float_answers(converted(network, torch.float32), host)
    integer, patches = integer_answers(model, host), model.shape.patches
    parts = joined(measure(images.split(BATCH), None, integer, exact, patches))
    found = Evaluation.of(parts, len(images), classes_of(model, host))
    noise = NoiseMeter(model, network).measure(_some(images, NOISE_IMAGES).split(BATCH))
    some = _some(images, PICTURES)
    names = [f"image {number}" for number in range(1, len(some) + 1)]
    return model_report(
        name,
        model,
        hardware,
        data=data,
        evaluation=found.report(),
        noise=noise.report(),
        shown=tuple(pictures(model, network, host, some, names)),
    )


def _some(images: Tensor, count: int) -> Tensor:
    """Return at most ``count`` images, evenly spread."""
    count = min(count, len(images))
    return images[torch.arange(count) * len(images) // count]


def model_report(
    name: str,
    model: IntegerModel,
    hardware: HardwareTarget,
    *,
    data: str,
    evaluation: Mapping[str, Any],
    noise: Mapping[str, Any] | None = None,
    shown: Sequence[Picture] = (),
) -> Report:
    """Put together what is known of a model.

    Parameters
    ----------
    name : str
        Of its file.
    model : IntegerModel
    hardware : HardwareTarget
    data : str
        The images, in words.
    evaluation : mapping
        As :meth:`nas.evaluate.result.Evaluation.report` gives it.
    noise : mapping, optional
        As :meth:`nas.evaluate.noise.NoiseBudget.report` gives it.
    shown : sequence of Picture
    """
    network = Network.of(name, model, hardware)
    size = " × ".join(map(str, model.image))
    lead = (
        f"{len(model.blocks)} blocks, width {model.width}, {model.tokens} tokens, images of {size};"
        f" hash {model.hash[:16]}. Measured on {evaluation['images']:,} images: {data}."
    )
    return Report(
        title=name,
        lead=lead,
        facts=tuple(_facts(model, network, evaluation)),
        quality=quality_of(name, network, evaluation),
        noise=noise,
        networks=(network,),
        pictures=tuple(shown),
        measured={"model_hash": model.hash, **evaluation},
    )


def _facts(model: IntegerModel, network: Network, evaluation: Mapping[str, Any]) -> list[Fact]:
    found = []
    if top := evaluation["top1"]:
        low, high = top["integer_interval"]
        found.append(
            Fact("accuracy", percent(top["integer"]), f"{percent(low)} to {percent(high)}, 95 %")
        )
        if top["difference"] is not None:
            low, high = (100 * end for end in top["difference_interval"])
            said = f"{100 * top['difference']:+.1f} points"
            found.append(Fact("minus the float network", said, f"{low:+.1f} to {high:+.1f}, 95 %"))
    if evaluation["agreement"] is not None:
        found.append(Fact("same answer as float", percent(evaluation["agreement"])))
    like = evaluation["likeness"].get("features")
    if like:
        said = f"relative error {like['relative_error']:.3f}"
        found.append(Fact("cosine of tokens", f"{like['cosine']:.4f}", said))
    if estimate := network.estimate:
        clock = f"{estimate.board.clock_hz / 1e6:g} MHz"
        rate = f"{estimate.frames_per_second:,.0f}"
        found.append(Fact("cycles per image", f"{estimate.cycles:,.0f}"))
        found.append(Fact("frames per second", rate, f"{estimate.board.name} at {clock}"))
    share = eight_bit_share(model.shape)
    found.append(Fact("8-bit rows", f"{share:.0%}", f"activations: {model.act_bits} bits"))
    return found


def quality_of(name: str, network: Network, evaluation: Mapping[str, Any]) -> Quality | None:
    """Return what stands for quality: accuracy, else agreement, else the cosine of tokens."""
    if network.estimate is None:
        return None
    top, like = evaluation["top1"], evaluation["likeness"].get("features")
    interval, reference, share = None, None, True
    if top:
        kind, value, interval, reference = (
            "accuracy", top["integer"], tuple(top["integer_interval"]), top["float"],
        )  # fmt: skip
        caption = "Share of right answers, with its 95 % interval."
    elif evaluation["agreement"] is not None:
        kind, value, interval = (
            "agreement", evaluation["agreement"], tuple(evaluation["agreement_interval"]),
        )  # fmt: skip
        caption = "Share of images with the float network's answer, with its 95 % interval."
    elif like:
        kind, value, reference, share = "cosine", like["cosine"], 1.0, False
        caption = "Mean cosine of the tokens with those of the float network."
    else:
        return None
    point = Point(name, network.estimate.cycles, value, interval)
    marks = _ends(network)
    caption += " Upright lines: the same network with 4-bit and with 8-bit rows alone."
    return Quality(kind, (point,), reference, marks, caption, share)


def _ends(network: Network) -> dict[str, float]:
    """Return the cycles of the network with 4-bit and with 8-bit rows in all blocks."""
    found = {}
    for bits in (4, 8):
        with suppress(UserError):  # of weights that are too many
            other = Estimate.of(network.hardware, _all_rows(network.shape, bits))
            found[f"{bits} bits"] = other.cycles
    return found


def _all_rows(shape: NetworkShape, bits: int) -> NetworkShape:
    blocks = tuple(
        replace(
            block, bits8=tuple((layer, (bits == 8,) * len(tiles)) for layer, tiles in block.bits8)
        )
        for block in shape.blocks
    )
    return replace(shape, blocks=blocks)
