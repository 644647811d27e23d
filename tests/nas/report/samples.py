"""A report with everything in it, of random networks and random results, and hostile names."""

from dataclasses import replace
from xml.etree.ElementTree import Element

import numpy as np

from nas.cost import HardwareTarget
from nas.cost.estimate import Estimate
from nas.report.content import Evaluated, Fact, Network, Picture, Point, Quality, Report
from sim.random_model import random_images, random_model

HOSTILE = "</script><script>alert('&\"')</script> größe 猫"
"""A name that would break out of a page that does not escape it."""


def network(name: str = "network", fraction: float = 0.4, output: str = "logits") -> Network:
    model = random_model(bits8_fraction=fraction, output=output)
    return Network.of(name, model, HardwareTarget.load("sim"))


def titles(figure: Element) -> list[str]:
    """Texts that a figure shows on hovering."""
    return [title.text or "" for title in figure.iter("title")]


def estimated(output: str = "logits") -> Estimate:
    """Costs of a network."""
    estimate = network(output=output).estimate
    assert estimate is not None
    return estimate


def quality() -> Quality:
    points = (
        Point("1,000 fps", 8_000.0, 0.97, (0.955, 0.98), "winner"),
        Point("2,000 fps", 5_000.0, 0.93, (0.91, 0.945), "winner"),
        Point("", 7_900.0, 0.965, None, "uniform"),
        Point("", 4_900.0, 0.92, None, "random"),
    )
    marks = {"4 bits": 4_000.0, "8 bits": 9_000.0}
    return Quality("accuracy", points, 0.975, marks, "A caption.")


def front(count: int = 60) -> Evaluated:
    rng = np.random.default_rng(0)
    cycles = rng.uniform(3_000, 9_000, count)
    loss = 600 / cycles * rng.uniform(1, 1.6, count)
    both = list(zip(cycles.tolist(), loss.tolist(), strict=True))
    chosen = tuple(
        Point("9 fps", *both[place], None, kind)
        for place, kind in enumerate(("winner", "uniform", "random"))
    )
    return Evaluated(both[: count // 2], both[count // 2 :], chosen, {"9 fps": 9_100.0})


def noise() -> dict:
    sources = [
        {"source": "weights", "alone": 0.05, "without": 0.06, "agreement_alone": None},
        {"source": "hidden", "alone": 0.07, "without": 0.04, "agreement_alone": None},
    ]
    return {"images": 4, "total": 0.09, "root_of_squares": 0.086, "sources": sources}


def picture(number: int = 0, name: str = "digit.png") -> Picture:
    [pixels] = random_images((28, 28, 3), 1, number)
    rng = np.random.default_rng(number)
    return Picture(
        name=name,
        pixels=pixels,
        label="seven",
        attention={"float": rng.random((4, 4)), "integer": rng.random((4, 4))},
        maps={"tokens": {"float": rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)}},
        classes=("seven", "one", HOSTILE),
        shares={"float": np.array([0.7, 0.2, 0.05]), "integer": np.array([0.4, 0.5, 0.05])},
        remark="Mean cosine: 0.99",
    )


def report() -> Report:
    return Report(
        title=HOSTILE,
        lead=f"Everything of {HOSTILE}",
        facts=(Fact("accuracy", "97.0 %", "95.5 % to 98.0 %"), Fact("cycles", "8,000")),
        quality=quality(),
        front=front(),
        noise=noise(),
        networks=(network(HOSTILE), replace(network("second", 1.0), name="second")),
        pictures=(picture(0, HOSTILE), picture(1)),
        measured={"name": HOSTILE, "seed": 1},
    )
