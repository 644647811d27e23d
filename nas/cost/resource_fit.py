"""The fit of the resource model to engines that were synthesised, by non-negative least squares."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from scipy.optimize import nnls

from rtl.build.synthesis import FAMILIES, NOTHING, Resources, Utilization
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.resources import structure
from rtl.resources.memories import Features
from rtl.resources.model import FITTED, CountedEngine, ResourceModel


def fit_resources(engines: Sequence[CountedEngine], family: str) -> ResourceModel:
    """Fit a resource model; every engine counts the same, whatever its size.

    Parameters
    ----------
    engines : sequence of (EngineConfig, Utilization)
    family : str
        Family of devices, a key of :data:`rtl.build.synthesis.FAMILIES`.

    Raises
    ------
    UserError
        If there are no engines, or the family is unknown.
    """
    if family not in FAMILIES:
        raise UserError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
    if not engines:
        raise UserError("a resource model needs at least one engine, not 0")
    features, counted = _by_block(engines, family)
    weights = 1 / np.array([[used.total.lut, used.total.ff] for _, used in engines]).T
    costs = {
        block: {
            kind: _fitted_costs(
                features[block], [getattr(each, kind) for each in counted[block]], w
            )
            for kind, w in zip(FITTED, weights, strict=True)
        }
        for block in features
    }
    return ResourceModel(family, costs, _ranges([engine for engine, _ in engines]))


def _by_block(
    engines: Sequence[CountedEngine], family: str
) -> tuple[dict[str, list[Features]], dict[str, list[Resources]]]:
    """Collect the features and the counted resources of each block, engine by engine."""
    features, counted = defaultdict(list), defaultdict(list)
    for engine, used in engines:
        summed: dict[str, Features] = defaultdict(lambda: defaultdict(float))
        for _, block, of_block in structure.blocks(engine, family):
            for name, value in of_block.items():
                summed[block][name] += value
        measured = _measured(used)
        for block in summed:
            features[block].append(dict(summed[block]))
            counted[block].append(measured.get(block, NOTHING))
    return features, counted


def _measured(used: Utilization) -> dict[str, Resources]:
    """Add up the counted resources of each block."""
    top = next(iter(used.units)).rpartition(".")[0]
    measured: dict[str, Resources] = defaultdict(Resources)
    for name, module in used.modules.items():
        block = structure.block_of(name.removeprefix(f"{top}."))
        if block is not None and name != top:
            measured[block] += module.own * module.instances
    return measured


def _fitted_costs(features: list[Features], counts: list[int], weights: np.ndarray) -> dict:
    """Find the non-negative costs of the features that explain the weighted counts best."""
    names = list(features[0])
    sizes = np.array([[each[name] for name in names] for each in features], dtype=float)
    largest = np.maximum(sizes.max(axis=0), 1)  # columns of like size: a well-conditioned fit
    solution, _ = nnls(sizes / largest * weights[:, None], np.array(counts) * weights)
    return dict(zip(names, (solution / largest).tolist(), strict=True))


def _ranges(engines: Sequence[EngineConfig]) -> dict[str, tuple[int, int]]:
    names = [
        field.name
        for field in fields(EngineConfig)
        if field.type is int and not field.name.endswith("_words")
    ]
    sizes = {name: [getattr(engine, name) for engine in engines] for name in names}
    return {name: (min(values), max(values)) for name, values in sizes.items()}
