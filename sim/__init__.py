"""Golden model, Verilator toolchain, cocotb benches, whole-network runner. Needs no torch."""
