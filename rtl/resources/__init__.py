"""Resources of an engine, predicted without synthesis.

- ``memories``: the shapes of the memories, and the cells of the device that they become
- ``structure``: the logic as blocks with features, and the DSPs
- ``model``: LUTs and flip-flops from the features, block memories and DSPs counted exactly
- ``room``: whether an ECP5 has room for an engine beside what is around it
"""
