"""The instruction set: one table; encoder, decoder, disassembler and reference come from it."""
