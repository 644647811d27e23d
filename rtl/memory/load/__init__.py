"""The load unit: from memory into the scratchpads."""
