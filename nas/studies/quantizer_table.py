"""The table of the quantizers of others."""

from typing import Any

from rich import box
from rich.table import Table

from nas.studies.variants import KINDS
from rtl.console import table


def variants_table(report: dict[str, Any]) -> Table:
    """Make the table of a study."""
    result = table(
        "codes of", "from", "alone: rel", "change %", "in all: rel", "change %", "cos",
        "integer: rel",
        text=("codes of", "from"),
        title=f"Quantizers of others, {report['act_bits']} bits, 8-bit rows",
        caption=f"rel: error of the final tokens on {report['images']} crops; change: against the"
        " first row of the part, paired, 95 %; an integer model where the engine runs it as it is",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for row in report["variants"]:
        if row["baseline"]:
            result.add_section()
            rotated = "" if row["rotate"] else ", stream not rotated"
            result.add_row(f"[bold]{KINDS[row['kind']]}{rotated}")
        cells = [row["name"], row["source"]]
        for way in ("alone", "all"):
            found = row[way]
            cells += [f"{found['rel']:.4f}", percent(found["change"])] if found else ["", ""]
        for way, figure in (("all", "cos"), ("integer", "rel")):
            cells.append(f"{row[way][figure]:.4f}" if row[way] else "")
        result.add_row(*cells)
    return result


def percent(change: dict[str, float] | None) -> str:
    """Show a relative change and its interval in percent."""
    if change is None:
        return ""
    mean, low, high = (f"{100 * change[name]:+.1f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low}..{high})"
