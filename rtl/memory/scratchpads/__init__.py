"""The scratchpads and their banks."""
