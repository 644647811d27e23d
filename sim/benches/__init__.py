"""cocotb benches: what runs inside a simulation."""
