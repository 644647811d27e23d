"""The small design that the toolchain is tried on."""

from pathlib import Path

DESIGNS = Path(__file__).parents[1] / "designs"
SOURCES = [DESIGNS / "counter.sv", DESIGNS / "scaled.cpp"]
BENCH = "tests.sim.designs.bench_counter"
