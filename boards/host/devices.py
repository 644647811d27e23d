"""Devices by their name: ``serial:/dev/ttyUSB0``, ``uio``, ``pynq:FILE``, and those of plugins."""

from __future__ import annotations

import importlib

from boards.host.errors import UserError
from boards.host.package import Package
from boards.host.plugins import offered
from boards.host.transport import Transport

OWN = {name: f"boards.host.{name}" for name in ("pynq", "serial", "uio")}
GROUP = "pulsar.transports"


def open_device(device: str, package: Package) -> Transport:
    """Open a device: a transport's name, and behind a colon what it takes.

    A transport is a function ``open_transport(argument, package)`` that returns a
    :class:`Transport`; other packages offer theirs by an entry point of the group
    ``pulsar.transports``.

    Raises
    ------
    UserError
        If there is no transport of that name, or no such device.
    """
    name, _, argument = device.partition(":")
    plugins = offered(GROUP)
    if name in OWN:
        return importlib.import_module(OWN[name]).open_transport(argument, package)
    if name in plugins:
        return plugins[name].load()(argument, package)
    known = ", ".join(sorted({*OWN, *plugins}))
    remedy = "" if "sim" in plugins else " (sim comes with pip install 'pulsar-vit[sim]')"
    raise UserError(f"unknown device {device!r}: choose one of {known}{remedy}")
