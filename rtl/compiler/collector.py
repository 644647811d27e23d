"""Python's collector of reference cycles, put off while many small objects are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Put the collector off; also a decorator of a function.

    Compiler and timing model make some hundred thousand objects, hardly any of which dies before
    the result is there. The collector would look through all of them again and again, which takes
    a fifth of their time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
