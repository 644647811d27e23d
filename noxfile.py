"""One command per job: ``nox -s demo``, ``nox -s tests``; ``nox -l`` lists them all.

The sessions that need everything share one environment, ``.nox/pulsar``: torch alone takes
gigabytes. It is installed on the first run, and again when ``pyproject.toml`` has changed.
"""

import hashlib
import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

SHARED = Path(".nox", "pulsar")


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Do the main job: train, search, and run the winners' test images on the RTL.

    Writes to runs/. Further arguments go to the search: nox -s demo -- --help
    """
    run(session, "nas.search", *session.posargs)


@nox.session(venv_backend="none")
def vit(session: nox.Session) -> None:
    """Quantize a trained ViT from PyPI, run a photograph on the RTL, draw its saliency maps.

    Writes to runs/vit. Every published figure: nox -s vit -- --figures
    """
    run(session, "nas.vit", *session.posargs)


@nox.session(venv_backend="none")
def splits(session: nox.Session) -> None:
    """Do the main job on five splits, so that each digit is a test image once: over an hour.

    Writes to runs/; goes on where it was interrupted. Further arguments go to the study.
    """
    run(session, "nas.studies", "splits", *session.posargs)


@nox.session(venv_backend="none")
def studies(session: nox.Session) -> None:
    """Study the method: subnets alone, recipes, scores, 8-bit rows, quantizers, kept tokens.

    One after the other, some hours; goes on where it was interrupted. Writes to runs/. Further
    arguments go to every study: nox -s studies -- --seed 1
    """
    names = "alone", "supernet", "ranking", "rows", "quantizers", "importance", "keep"
    for study in names:
        run(session, "nas.studies", study, *session.posargs)


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Show a report in headless Chromium, light and dark, on a desk and on a phone.

    Fails on an error in its console, and without Chromium (apt-get install chromium). Writes
    pictures to runs/report. Another page: nox -s report -- --page runs/digits/report.html
    """
    run(session, "tests.nas.report.browser", *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run all tests, simulations included; this is what CI runs.

    Further arguments go to pytest: nox -s tests -- tests/rtl -k requantize
    """
    run(session, "pytest", "-n", "auto", *session.posargs)


@nox.session(venv_backend="none")
def sim(session: nox.Session) -> None:
    """Simulate the hardware: every unit, the buses, the engine, and whole networks.

    Units run in Amaranth's simulator, and again with cocotb in Verilator, as the Verilog that
    users synthesise; buses, the engine and whole networks with cocotb alone.
    """
    run(session, "pytest", "-n", "auto", "-m", "sim", *session.posargs)


@nox.session(venv_backend="none")
def hostile(session: nox.Session) -> None:
    """Simulate the hardware as ``sim`` does, with memories as bad as a device's may be.

    Scratchpads start with anything, and a read that collides with a write returns the inverse of
    what was there. CI does so with a few networks.
    """
    marked = "sim and not calibrated"
    run(session, "pytest", "-n", "auto", "-m", marked, *session.posargs, PULSAR_HOSTILE="1")


@nox.session(venv_backend="none")
def zcu102(session: nox.Session) -> None:
    """Simulate the ZCU102 engine with networks of many shapes, and what else takes long.

    That is boards' tops with two ports, a thousand stall patterns of every layout, UltraRAM as
    primitives, DeiT's shapes through the ports of the board. Apart from the other tests because of
    its length: 54 minutes of one core.
    """
    run(session, "pytest", "-n", "auto", "-m", "zcu102", *session.posargs)


@nox.session(venv_backend="none")
def silicon(session: nox.Session) -> None:
    """Prove the ULX3S' top at its pins, in RTL; place and route a small board, and simulate that.

    An engine runs in Icarus, too, which knows unknown values. Apart from the other tests because
    of its length: some twenty minutes on two idle cores. A missing tool fails it (apt install
    iverilog). The proof writes docs/results/silicon.json, section pins.
    """
    run(session, "pytest", "-m", "silicon", *session.posargs)
    run(session, "tests.sim.pins.proof")


@nox.session(venv_backend="none")
def zynq(session: nox.Session) -> None:
    """Run the boards' scripts for Vivado on a model of it, and their overlays on Debian's trees.

    Fetches two of Debian's kernels, once. A missing tool fails it (apt install tcl
    device-tree-compiler). Writes docs/results/boards.json.
    """
    run(session, "pytest", "-m", "zynq", *session.posargs)
    run(session, "tests.rtl.build.proof")


@nox.session(venv_backend="none")
def ulx3s(session: nox.Session) -> None:
    """Make the ULX3S' bitstream, and classify a digit on the netlist it was packed from.

    Writes to build/. It takes an hour or more; further arguments go to rtl.build.
    """
    engine = ("--board", "ulx3s")
    run(session, "rtl.build", *engine, "--no-synthesis", *session.posargs)
    images = ("examples/digits.pulsar", "examples/digit-7.png")
    run(session, "sim.netlist", "build/pulsar_ulx3s_bitstream", *images, *engine,
        "--json", "build/netlist.json")  # fmt: skip


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check the types with pyright."""
    run(session, "pyright", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff, in an environment that holds nothing else."""
    session.install("ruff>=0.10")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def torchless(session: nox.Session) -> None:
    """Run the tests of rtl, sim and boards where torch was never installed."""
    session.install("-e", ".[sim,dev]")
    session.run("python", "-c", "import importlib.util as u; assert not u.find_spec('torch')")
    session.run(
        "python", "-m", "pytest", "-n", "auto", "tests/boards", "tests/rtl", "tests/sim",
        "tests/test_architecture.py", *session.posargs,
    )  # fmt: skip


def run(session: nox.Session, module: str, *arguments: str, **variables: str) -> None:
    """Run a module of the shared environment, which is made first where it is missing.

    Further keywords are environment variables.

    Modules, because a script's first line cannot name a Python whose path has a space.
    """
    environment = Path(session.invoked_from, SHARED)
    python = str(environment / "bin" / "python")
    stamp = environment / "installed.sha256"
    wanted = hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        session.log(f"Installing everything into {SHARED}: some minutes, several GB (torch)")
        session.run(sys.executable, "-m", "virtualenv", "--clear", str(environment), external=True)
        session.run(python, "-m", "pip", "install", "-e", ".[nas,dev]", external=True)
        stamp.write_text(wanted)
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    session.run(
        python, "-m", module, *arguments,
        env={"PATH": path, "VIRTUAL_ENV": str(environment), **variables},
        external=True,
    )  # fmt: skip
