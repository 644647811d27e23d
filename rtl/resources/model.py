"""Resources of any engine, without synthesis: a linear model of each block's LUTs and flip-flops.

DSPs and block memories are counted from the engine's sizes, exactly. LUTs and flip-flops of each
block are a non-negative sum of its features (:mod:`rtl.resources.structure`), fitted to engines
that were synthesised.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import nnls

from rtl.build.synthesis import FAMILIES, NOTHING, Resources, Utilization
from rtl.config import TINY, EngineConfig
from rtl.errors import UserError
from rtl.resources import structure
from rtl.resources.dsps import dsps
from rtl.resources.memories import Features, block_memories

CountedEngine = tuple[EngineConfig, Utilization]
Report = tuple[EngineConfig, Resources | Utilization]
Costs = dict[str, dict[str, dict[str, float]]]

SCHEMA = 1
KINDS = tuple(kind.name for kind in fields(Resources))
FITTED = ("lut", "ff")
ENGINE = "engine"  # scale of all units


@dataclass(frozen=True)
class ResourceModel:
    """Resources of an engine as linear functions of its sizes.

    Parameters
    ----------
    family : str
        Of devices: a key of :data:`rtl.build.synthesis.FAMILIES`.
    costs : dict
        ``costs[block]["lut" or "ff"][feature]``: LUTs or flip-flops of one more of a feature.
    ranges : dict of str to (int, int)
        Smallest and largest of each size among the engines that it was fitted to; scratchpads'
        words are left out, because what memories take is not fitted.
    reference : str
        Whose counts these are: ``yosys`` or ``vivado``.
    scales : dict
        ``scales[unit or "engine"][resource]``: the reference's count over Yosys'.
    """

    family: str
    costs: Costs
    ranges: dict[str, tuple[int, int]]
    reference: str = "yosys"
    scales: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def fit(cls, engines: Sequence[CountedEngine], family: str) -> "ResourceModel":
        """Fit a model to engines that were synthesised.

        Raises
        ------
        UserError
            If there are none, or the family is unknown.
        """
        if family not in FAMILIES:
            raise UserError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
        if not engines:
            raise UserError("a resource model needs at least one engine, not 0")
        features, counted = _by_block(engines, family)
        weights = 1 / np.array([[used.total.lut, used.total.ff] for _, used in engines]).T
        costs = {
            block: {
                kind: _fit(features[block], [getattr(used, kind) for used in counted[block]], w)
                for kind, w in zip(FITTED, weights, strict=True)
            }
            for block in features
        }
        return cls(family, costs, _ranges([engine for engine, _ in engines]))

    def predict(self, engine: EngineConfig) -> Resources:
        """Resources of the whole engine."""
        total = sum(self._units(engine).values(), np.zeros(len(KINDS)))
        return _resources(total * self._scale(ENGINE))

    def units(self, engine: EngineConfig) -> dict[str, Resources]:
        """Resources by unit, without those of the engine's own level."""
        whole = self._scale(ENGINE)
        return {unit: _resources(used * whole) for unit, used in self._units(engine).items()}

    def extrapolates(self, engine: EngineConfig) -> list[str]:
        """Name the sizes outside of those that the model was fitted to."""
        return [
            f"{name} {size} outside {low}..{high}"
            for name, (low, high) in self.ranges.items()
            if not low <= (size := getattr(engine, name)) <= high
        ]

    def refit(self, reports: Sequence[Report]) -> "ResourceModel":
        """Scale the predictions to a vendor's counts of the same engines.

        By unit where every report is hierarchical, else as a whole.

        Raises
        ------
        UserError
            If there are no reports.
        """
        if not reports:
            raise UserError("no reports to scale a resource model to")
        yosys = replace(self, reference="yosys", scales={})
        hierarchical = all(isinstance(used, Utilization) for _, used in reports)
        scales = {}
        for name in structure.BLOCKS if hierarchical else [ENGINE]:
            pairs = [yosys._against(engine, used, name) for engine, used in reports]
            predicted, counted = (np.sum(side, axis=0) for side in zip(*pairs, strict=True))
            ratios = np.divide(counted, predicted, out=np.ones(len(KINDS)), where=predicted > 0)
            scales[name] = dict(zip(KINDS, ratios.tolist(), strict=True))
        return replace(self, reference="vivado", scales=scales)

    def _against(
        self, engine: EngineConfig, used: Resources | Utilization, name: str
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Predicted and counted resources of a unit, or of the engine."""
        if name == ENGINE:
            total = used.total if isinstance(used, Utilization) else used
            return self.predict(engine).values(), total.values()
        counted = {unit_name(unit): resources for unit, resources in used.units.items()}
        if name not in counted:
            raise UserError(f"report on engine '{engine.name}' has no unit '{name}'")
        return self.units(engine)[name].values(), counted[name].values()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: every coefficient by the name of its block and feature."""
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "ResourceModel":
        """Read what :meth:`to_json` returned.

        Raises
        ------
        UserError
            If it is of another schema, or has other blocks or features than this version.
        """
        if content.get("schema") != SCHEMA:
            raise UserError(
                f"resource model: schema must be {SCHEMA}, not {content.get('schema')!r}"
            )
        sizes = {field.name: content[field.name] for field in fields(cls)}
        sizes["ranges"] = {name: (low, high) for name, (low, high) in sizes["ranges"].items()}
        _require_features(sizes["costs"], _features(sizes["family"]))
        return cls(**sizes)

    def _units(self, engine: EngineConfig) -> dict[str, np.ndarray]:
        """DSPs, LUTs, flip-flops and BRAM36 by unit, not rounded."""
        used = {unit: np.zeros(len(KINDS)) for unit in structure.BLOCKS}
        for unit, block, features in structure.blocks(engine, self.family):
            for index, kind in enumerate(FITTED, start=1):
                costs = self.costs[block][kind]
                used[unit][index] += sum(n * costs[name] for name, n in features.items())
        for unit, dsp in dsps(engine, self.family).items():
            used[unit][0] = dsp
        for unit, bram36 in block_memories(engine, self.family).items():
            used[unit][3] = bram36
        return {unit: values * self._scale(unit) for unit, values in used.items()}

    def _scale(self, name: str) -> np.ndarray:
        scale = self.scales.get(name, {})
        return np.array([scale.get(kind, 1.0) for kind in KINDS])


def unit_name(module: str) -> str:
    """A unit's name without the engine's: ``norm`` of ``pulsar_zcu102.norm``."""
    return module.rpartition(".")[2]


@cache
def _features(family: str) -> dict[str, set[str]]:
    """Names of the features of each block, which are those of any engine."""
    return {block: set(features) for _, block, features in structure.blocks(TINY, family)}


def _require_features(costs: Costs, features: dict[str, set[str]]) -> None:
    """Refuse costs of other blocks or features; ``UserError`` names the first block."""
    for block in sorted(costs.keys() | features):
        for kind in FITTED:
            known = set(costs.get(block, {}).get(kind, {}))
            if differing := known ^ features.get(block, set()):
                raise UserError(
                    f"resource model: block '{block}' has other features than this version"
                    f" ({', '.join(sorted(differing))}): run python -m nas.calibrate again"
                )


def _by_block(
    engines: Sequence[CountedEngine], family: str
) -> tuple[dict[str, list[Features]], dict[str, list[Resources]]]:
    """Features and counted resources of each block, engine by engine."""
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
    """Counted resources by block."""
    top = next(iter(used.units)).rpartition(".")[0]
    measured: dict[str, Resources] = defaultdict(Resources)
    for name, module in used.modules.items():
        block = structure.block_of(name.removeprefix(f"{top}."))
        if block is not None and name != top:
            measured[block] += module.own * module.instances
    return measured


def _fit(features: list[Features], counts: list[int], weights: np.ndarray) -> dict:
    """Non-negative costs of the features that explain the counts best, each in its weight."""
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


def _resources(values: np.ndarray) -> Resources:
    """Whole DSPs, LUTs and flip-flops, and halves of BRAM36."""
    dsp, lut, ff = (round(float(value)) for value in values[:3])
    return Resources(dsp, lut, ff, round(float(values[3]) * 2) / 2)
