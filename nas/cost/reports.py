"""Reports of the vendor's tools: they replace the counts of Yosys, and bring energy."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from nas.cost.calibration import Calibration
from nas.cost.energy import PowerModel
from nas.cost.estimate import Estimate
from rtl.build.utilization import read_utilization
from rtl.config import EngineConfig
from rtl.errors import UserError


def with_utilization(
    known: Calibration, engine: EngineConfig, reports: Sequence[Path]
) -> Calibration:
    """Return a calibration with the resource model scaled to Vivado's counts of an engine.

    Parameters
    ----------
    known : Calibration
    engine : EngineConfig
        The engine that all reports are of.
    reports : sequence of Path
        Text files of ``report_utilization``, flat or hierarchical.

    Raises
    ------
    UserError
        If a report cannot be read.
    """
    counted = [(engine, read_utilization(report)) for report in reports]
    model = known.resource_model.refit(counted)
    resources = known.resources.model_copy(update={"model": model.to_json()})
    return known.model_copy(update={"resources": resources})


def with_imports(found: Calibration, before: Calibration) -> Calibration:
    """Carry the imported reports of an older calibration over to a new one of the same engine."""
    old = before.resource_model
    model = replace(found.resource_model, reference=old.reference, scales=old.scales)
    resources = found.resources.model_copy(update={"model": model.to_json()})
    return found.model_copy(update={"resources": resources, "power": before.power})


def imports(calibration: Calibration) -> list[str]:
    """Return the kinds of reports that were imported."""
    kinds = {"utilization": calibration.resource_model.scales, "power": calibration.power}
    return [kind for kind, content in kinds.items() if content]


def with_power(known: Calibration, run: Estimate, report: Path) -> Calibration:
    """Return a calibration with the energy of Vivado's ``report_power``.

    Parameters
    ----------
    known : Calibration
    run : Estimate
        Costs of the network, on the board and engine, whose activity the report has.
    report : Path

    Raises
    ------
    UserError
        If the report cannot be read.
    """
    try:
        text = report.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{report}: cannot be read: {error}") from None
    try:
        power = PowerModel.of_report(text, run.work, run.frames_per_second)
    except UserError as error:
        raise UserError(f"{report}: {error}") from None
    return known.model_copy(update={"power": asdict(power)})
