"""The resources of any engine, without synthesis.

DSPs and block memories are counted from the sizes of the engine, exactly. LUTs and flip-flops of
each block are a sum of its features (:mod:`rtl.resources.structure`), each with a cost that was
fitted to engines that were synthesised (:mod:`nas.cost.resource_fit`).
"""

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np

from rtl.build.synthesis import Resources, Utilization
from rtl.config import TINY, EngineConfig
from rtl.errors import UserError
from rtl.resources import structure
from rtl.resources.memories import block_memories, ultra_rams
from rtl.resources.structure import dsps

CountedEngine = tuple[EngineConfig, Utilization]
"""An engine, and what synthesis counted for it."""

FeatureCosts = dict[str, dict[str, dict[str, float]]]
"""``costs[block]["lut" or "ff"][feature]``: LUTs or flip-flops of one more of a feature."""

SCHEMA = 1
KINDS = tuple(kind.name for kind in fields(Resources))
FITTED = ("lut", "ff")  # kinds of resources whose costs are fitted
ENGINE = "engine"  # key of the scales that hold for all units


@dataclass(frozen=True)
class ResourceModel:
    """Resources of an engine as linear functions of its sizes.

    Parameters
    ----------
    family : str
        Family of devices, a key of :data:`rtl.build.synthesis.FAMILIES`.
    costs : dict
        Fitted costs, as :data:`FeatureCosts`.
    ranges : dict of str to (int, int)
        Smallest and largest of each size among the engines that the model was fitted to. Words of
        scratchpads are left out, because nothing is fitted to memories.
    reference : str
        The tool whose counts are predicted: ``yosys`` or ``vivado``.
    scales : dict
        ``scales[unit or "engine"][resource]``: count of the reference over that of Yosys.
    """

    family: str
    costs: FeatureCosts
    ranges: dict[str, tuple[int, int]]
    reference: str = "yosys"
    scales: dict[str, dict[str, float]] = field(default_factory=dict)

    def predict(self, engine: EngineConfig) -> Resources:
        """Predict the resources of the whole engine."""
        return _resources(self._total(engine))

    def units(self, engine: EngineConfig) -> dict[str, Resources]:
        """Predict the resources of each unit, without the logic that connects the units."""
        whole = self._scale(ENGINE)
        return {unit: _resources(used * whole) for unit, used in self._units(engine).items()}

    def extrapolates(self, engine: EngineConfig) -> list[str]:
        """Name the sizes outside of those that the model was fitted to."""
        return [
            f"{name} {size} outside {low}..{high}"
            for name, (low, high) in self.ranges.items()
            if not low <= (size := getattr(engine, name)) <= high
        ]

    def refit(self, engine: EngineConfig, used: Resources | Utilization) -> "ResourceModel":
        """Scale the predictions to what a vendor's tool counted for an engine.

        Each unit is scaled where the report is hierarchical, else the engine as a whole.
        """
        yosys = replace(self, reference="yosys", scales={})
        scales = {}
        for name in structure.BLOCKS if isinstance(used, Utilization) else [ENGINE]:
            predicted, counted = map(np.array, yosys._against(engine, used, name))
            ratios = np.divide(counted, predicted, out=np.ones(len(KINDS)), where=predicted > 0)
            scales[name] = dict(zip(KINDS, ratios.tolist(), strict=True))
        return replace(self, reference="vivado", scales=scales)

    def _against(
        self, engine: EngineConfig, used: Resources | Utilization, name: str
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the predicted and the counted resources of a unit, or of the engine."""
        if name == ENGINE:
            total = used.total if isinstance(used, Utilization) else used
            return tuple(self._total(engine)), total.values()
        # A report names units below the engine: ``pulsar_zcu102.norm``.
        counted = {unit.rpartition(".")[2]: resources for unit, resources in used.units.items()}
        if name not in counted:
            raise UserError(f"report on engine '{engine.name}' has no unit '{name}'")
        return tuple(self._units(engine)[name]), counted[name].values()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: every cost by the name of its block and feature."""
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

    def _total(self, engine: EngineConfig) -> np.ndarray:
        """Return DSPs, LUTs, flip-flops, BRAM36 and UltraRAMs of the whole engine, not rounded."""
        return sum(self._units(engine).values(), np.zeros(len(KINDS))) * self._scale(ENGINE)

    def _units(self, engine: EngineConfig) -> dict[str, np.ndarray]:
        """Return DSPs, LUTs, flip-flops, BRAM36 and UltraRAMs by unit, not rounded."""
        used = {unit: np.zeros(len(KINDS)) for unit in structure.units(engine)}
        for unit, block, features in structure.blocks(engine, self.family):
            for index, kind in enumerate(FITTED, start=1):
                costs = self.costs[block][kind]
                used[unit][index] += sum(n * costs[name] for name, n in features.items())
        for unit, logic in structure.selection(engine, self.family).items():
            used[unit][1:3] += logic
        for unit, dsp in dsps(engine, self.family).items():
            used[unit][0] = dsp
        for unit, bram36 in block_memories(engine, self.family).items():
            used[unit][3] = bram36
        for unit, uram in ultra_rams(engine).items():
            used[unit][4] = uram
        return {unit: values * self._scale(unit) for unit, values in used.items()}

    def _scale(self, name: str) -> np.ndarray:
        scale = self.scales.get(name, {})
        return np.array([scale.get(kind, 1.0) for kind in KINDS])


@cache
def _features(family: str) -> dict[str, set[str]]:
    """Name the features of each block, which are the same for every engine."""
    return {block: set(features) for _, block, features in structure.blocks(TINY, family)}


def _require_features(costs: FeatureCosts, features: dict[str, set[str]]) -> None:
    """Refuse costs of other blocks or features; ``UserError`` names the first block."""
    for block in sorted(costs.keys() | features):
        for kind in FITTED:
            known = set(costs.get(block, {}).get(kind, {}))
            if differing := known ^ features.get(block, set()):
                raise UserError(
                    f"resource model: block '{block}' has other features than this version"
                    f" ({', '.join(sorted(differing))}): run python -m nas.calibrate again"
                )


def _resources(values: np.ndarray) -> Resources:
    """Round to whole DSPs, LUTs, flip-flops and UltraRAMs, and to halves of BRAM36."""
    dsp, lut, ff, uram = (round(float(values[index])) for index in (0, 1, 2, 4))
    return Resources(dsp, lut, ff, round(float(values[3]) * 2) / 2, uram)
