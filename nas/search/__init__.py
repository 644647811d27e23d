"""The search: ``python -m nas.search``, from images to searched networks run on the RTL."""
