"""The name under which integer models are written."""

from importlib.metadata import PackageNotFoundError, version


def producer() -> str:
    """Name the program and its version."""
    try:
        return f"pulsar-vit {version('pulsar-vit')}"
    except PackageNotFoundError:
        return "pulsar-vit (not installed)"
