"""The documentation names things that exist: links, modules, files of the repository."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in (".", "docs", "docs/design", "examples")
    for page in (ROOT / folder).glob("*.md")
)
FOLDERS = ("rtl", "nas", "sim", "boards", "tests", "docs", "examples")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"python3? -m ([\w.]+)")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")
"""A path in the repository; not a pattern, not a placeholder."""
DOTTED = re.compile(r"(?:rtl|nas|sim|boards)(?:\.\w+)+")
"""A module, or something in it: ``rtl.cli``, ``rtl.cli.command``."""
OURS = ("rtl", "nas", "sim", "boards", "tests")
NAMED = re.compile(r"`([\w/]+\.py)`:\s+`([A-Za-z_]\w*)`")
"""A file, and a class or function to open in it: ``rtl/cli.py: command``."""


def relative_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in a link."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@cache
def top_level_names(source: Path) -> set[str]:
    """What a module defines or imports."""
    names = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            names |= {target.id for target in ast.walk(node) if isinstance(target, ast.Name)}
    return names


def exists_in_code(name: str) -> bool:
    """Whether a dotted name is a module, or a name that a module defines, or a member of that."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if source.is_file():
            return length == len(parts) or parts[length] in top_level_names(source)
    return False


def misses(found: Iterator[str], good) -> list[str]:
    return sorted({name for name in found if not good(name)})


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_relative_links_resolve(page):
    def resolves(target: str) -> bool:
        if "://" in target or target.startswith("mailto:"):
            return True
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or not file.is_relative_to(ROOT):
            return False
        return not anchor or anchor in anchors(file)

    assert misses(iter(LINK.findall(page.read_text(encoding="utf-8"))), resolves) == []


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_commands_are_modules(page):
    ours = (
        module
        for module in COMMAND.findall(page.read_text(encoding="utf-8"))
        if module.partition(".")[0] in OURS
    )
    assert misses(ours, exists_in_code) == []


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_paths_in_code_exist(page):
    paths = (
        code for code in CODE.findall(page.read_text(encoding="utf-8")) if FILE.fullmatch(code)
    )
    assert misses(paths, lambda path: (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_names_in_code_exist(page):
    names = (
        code for code in CODE.findall(page.read_text(encoding="utf-8")) if DOTTED.fullmatch(code)
    )
    assert misses(names, exists_in_code) == []


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_names_beside_files_are_in_them(page):
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert [pair for pair in named if pair[1] not in top_level_names(ROOT / pair[0])] == []


PACKAGES = sorted(file for top in OURS for file in (ROOT / top).rglob("__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=relative_name)
def test_a_list_of_modules_is_complete(package):
    """Where a package's docstring lists its modules, each is among them."""
    text = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    files = {file.stem for file in package.parent.glob("[a-z]*.py")}
    folders = {file.parent.name for file in package.parent.glob("*/__init__.py")}
    listed = set(re.findall(r"\w+", text))
    assert "\n- " not in text or files | folders <= listed


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = {(ROOT / "docs" / target).resolve() for target in LINK.findall(index)}
    pages = {page for page in PAGES if (ROOT / "docs") in page.parents} - {
        ROOT / "docs" / "README.md"
    }
    assert pages <= listed


def test_the_search_finds_pages():
    names = set(map(relative_name, PAGES))
    assert {"README.md", "docs/numerics.md", "docs/design/0001-engine.md"} <= names
    assert exists_in_code("rtl.cli.command") and not exists_in_code("rtl.cli.absent")
    assert not exists_in_code("rtl.absent")


def test_rows_of_commands_that_keep_tokens_name_an_engine():
    """The boards' own engines select none."""
    rows = [
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if "`python -m" in line and "--keep " in line and line.startswith("|")
    ]
    assert len(rows) == 2
    assert all("--engine zcu102_select --keep " in row for row in rows)
