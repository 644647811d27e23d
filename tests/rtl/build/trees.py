"""Device trees of Debian's arm64 kernels, fetched once; overlays on them, by dtc and fdtoverlay."""

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import urllib.request
from fnmatch import fnmatch
from pathlib import Path

MIRROR = "https://deb.debian.org/debian"
RELEASES = ("bookworm", "trixie")
CACHE = Path(os.environ.get("PULSAR_CACHE", "~/.cache/pulsar-vit")).expanduser() / "trees"
CONTROLLER = "/axi/interrupt-controller@f9010000"
TIMEOUT_S = 60
# The interrupt's parent is in the tree that an overlay is for: checked there.
COMPILE = ("dtc", "-W", "no-interrupts_property", "-I", "dts", "-O", "dtb")


def run(*words: str | Path) -> str:
    """Run a program; what it prints, and an error if it fails or is not there."""
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{words}: {ended.stderr}"
    return ended.stdout


def packages(release: str) -> dict[str, dict[str, str]]:
    """Return the fields of each arm64 package of a release, by the package's name."""
    url = f"{MIRROR}/dists/{release}/main/binary-arm64/Packages.xz"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        text = lzma.decompress(answer.read()).decode()
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", stanza, re.M))
        if fields.get("Package", "").startswith("linux-image-"):
            found[fields["Package"]] = fields
    return found


def fetch(release: str) -> tuple[str, Path]:
    """Return the version of a release's kernel, and the folder with its trees for AMD's boards."""
    found = packages(release)
    package = found[re.split(r"[ ,(]", found["linux-image-arm64"]["Depends"])[0]]
    folder = CACHE / f"{release}-{package['Version']}"
    if not folder.is_dir():
        url = f"{MIRROR}/{package['Filename']}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content = answer.read()
        assert hashlib.sha256(content).hexdigest() == package["SHA256"]
        unpack(content, folder)
    return package["Version"], folder


def unpack(package: bytes, folder: Path) -> None:
    """Write the trees of a kernel's package to a folder, which is there when all of them are."""
    partial = folder.with_suffix(f".{os.getpid()}")
    partial.mkdir(parents=True)
    (partial / "package.deb").write_bytes(package)
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", partial / "package.deb"], stdout=subprocess.PIPE
    ) as made:
        with tarfile.open(fileobj=made.stdout, mode="r|") as archive:
            for member in archive:
                if fnmatch(member.name, "*/xilinx/*.dtb") and member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None
                    (partial / Path(member.name).name).write_bytes(content.read())
    (partial / "package.deb").unlink()
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def compiled(source: str, folder: Path, name: str = "overlay") -> Path:
    """Compile an overlay's source, without a word of dtc."""
    text, binary = folder / f"{name}.dtso", folder / f"{name}.dtbo"
    text.write_text(source)
    ended = subprocess.run(
        [*COMPILE, "-o", binary, text], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    return binary


def warnings_of(tree: Path) -> list[str]:
    """Return what dtc has to say of a tree, without the file's name."""
    ended = subprocess.run(
        ["dtc", "-I", "dtb", "-O", "dtb", "-o", "/dev/null", tree],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(line.partition(": ")[2] for line in ended.stderr.splitlines())


def cells(tree: Path, node: str, name: str) -> list[int]:
    """Return a property that is a list of numbers; empty if there is none."""
    if name not in run("fdtget", "-p", tree, node).split():
        return []
    return [int(word, 16) for word in run("fdtget", "-t", "x", tree, node, name).split()]


def interrupt_parent(tree: Path, node: str) -> int | None:
    """Return the phandle that an interrupt goes to: the node's own or the next one above."""
    while True:
        if found := cells(tree, node, "interrupt-parent"):
            return found[0]
        if node == "/":
            return None
        node = node.rpartition("/")[0] or "/"
