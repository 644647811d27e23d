"""DSPs, block RAMs, LUTs and flip-flops of an engine, predicted without synthesis."""
