"""The external memory's port, the load and store units, the scratchpads."""
