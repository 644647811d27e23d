"""The figures of a report as JSON, which the page holds beside the drawings made of them."""

import json
from dataclasses import asdict
from typing import Any

from nas.cost.estimate import figures, hardware_figures
from nas.report.content import Network, Quality, Report

SCHEMA = 1


def report_data(report: Report) -> dict[str, Any]:
    """Return all figures of a report, without its pictures."""
    return {
        "schema": SCHEMA,
        "title": report.title,
        "quality": report.quality and _quality(report.quality),
        "front": report.front and asdict(report.front),
        "noise": report.noise,
        "networks": [_network(network) for network in report.networks],
        "measured": dict(report.measured),
    }


def embedded(data: dict[str, Any]) -> str:
    """Write JSON that may stand inside an element ``script``."""
    text = json.dumps(data, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _quality(quality: Quality) -> dict[str, Any]:
    return asdict(quality) | {"marks": dict(quality.marks)}


def _network(network: Network) -> dict[str, Any]:
    layers = {
        f"blocks.{number}.{layer}": [8 if flag else 4 for flag in tiles]
        for number, block in enumerate(network.shape.blocks)
        for layer, tiles in block.bits8
    }
    estimate = network.estimate
    return {
        "name": network.name,
        **hardware_figures(network.hardware, network.shape),
        "row_granularity": network.shape.row_granularity,
        "tile_bits": layers,
        "refusal": network.refusal or None,
        "estimate": estimate and figures(estimate),
    }
