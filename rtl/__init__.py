"""The accelerator in Amaranth, its compiler, and what every package shares. Needs no torch."""
