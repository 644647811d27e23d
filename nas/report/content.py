"""Content of a report: objects that the commands have made, and figures as they are in JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas.cost import HardwareTarget
from nas.cost.estimate import Estimate
from rtl.compiler.plan import plan_model
from rtl.errors import UserError
from rtl.model import IntegerModel, repack
from rtl.model.shape import NetworkShape

Interval = tuple[float, float]


@dataclass(frozen=True)
class Fact:
    """A figure at the head of a report: what it is, its value in words, and a remark."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Point:
    """A network in the figure of quality against cycles.

    Parameters
    ----------
    name : str
    cycles : float
        Of an image.
    value : float
    interval : (low, high), optional
        95 %.
    kind : str
        ``winner``, ``uniform``, ``random`` or ``model``.
    """

    name: str
    cycles: float
    value: float
    interval: Interval | None = None
    kind: str = "model"


@dataclass(frozen=True)
class Quality:
    """Quality against cycles.

    Parameters
    ----------
    name : str
        Of the value: ``accuracy``, ``cosine``.
    points : tuple of Point
    reference : float, optional
        Of the float network.
    marks : mapping of str to float
        Cycles to mark, such as those of 4-bit rows alone.
    caption : str
    share : bool
        Whether values are shares, which are written in percent.
    """

    name: str
    points: tuple[Point, ...]
    reference: float | None = None
    marks: Mapping[str, float] = field(default_factory=dict)
    caption: str = ""
    share: bool = True


@dataclass(frozen=True)
class Evaluated:
    """Subnets that a search has evaluated: (cycles, cross-entropy) of each, and of what it chose.

    Parameters
    ----------
    found, drawn : sequence of (float, float)
        By the search, and at random.
    chosen : tuple of Point
        Winners and their baselines; values are cross-entropies on the search images.
    limits : mapping of str to float
        Most cycles of each frame rate.
    """

    found: Sequence[tuple[float, float]]
    drawn: Sequence[tuple[float, float]]
    chosen: tuple[Point, ...]
    limits: Mapping[str, float]


@dataclass(frozen=True)
class Network:
    """An integer model on a board.

    Parameters
    ----------
    name : str
    shape : NetworkShape
    hardware : HardwareTarget
    estimate : Estimate, optional
        Its costs; None where the engine refuses it.
    refusal : str
        The reason for that.
    """

    name: str
    shape: NetworkShape
    hardware: HardwareTarget
    estimate: Estimate | None
    refusal: str = ""

    @classmethod
    def of(cls, name: str, model: IntegerModel, hardware: HardwareTarget) -> "Network":
        """Compile a model, in the engine's row tiles; being refused is no error of a report."""
        lanes = hardware.engine.row_lanes
        packed = repack(model, lanes) if model.row_granularity % lanes else model
        try:
            plan_model(packed, hardware.engine)
            return cls(name, packed.shape, hardware, Estimate.of(hardware, packed.shape))
        except UserError as error:
            return cls(name, model.shape, hardware, None, str(error))


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with answers.

    Parameters
    ----------
    name : str
    pixels : (height, width, channels) uint8
    label : str
        The right class, if it is known.
    attention : dict of str to (rows, columns) array
        Of the class token to the patches, by who computed it: ``float``, ``integer``.
    maps : dict of str to dict of str to array
        Maps that are the answer, (rows, columns) or (rows, columns, 3) uint8: by what they show,
        and then by who computed them.
    classes : tuple of str
        Names of the classes in ``shares``.
    shares : dict of str to array
        Probabilities of these classes, by who computed them.
    remark : str
        Likeness of both answers, in words.
    """

    name: str
    pixels: np.ndarray
    label: str = ""
    attention: Mapping[str, np.ndarray] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    shares: Mapping[str, np.ndarray] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Report:
    """All of a page.

    Parameters
    ----------
    title, lead : str
    facts : tuple of Fact
    quality : Quality, optional
    front : Evaluated, optional
    noise : dict, optional
        As :meth:`nas.evaluate.noise.NoiseBudget.report` gives it.
    networks : tuple of Network
    pictures : tuple of Picture
    measured : dict
        Further figures, as the command writes them to JSON.
    """

    title: str
    lead: str
    facts: tuple[Fact, ...] = ()
    quality: Quality | None = None
    front: Evaluated | None = None
    noise: Mapping[str, Any] | None = None
    networks: tuple[Network, ...] = ()
    pictures: tuple[Picture, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)
