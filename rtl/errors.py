"""The exceptions that a command turns into a message instead of a traceback."""

from boards.host.errors import DeviceError, UserError

__all__ = ["DeviceError", "ToolError", "UserError"]


class ToolError(Exception):
    """An external tool (Verilator, a simulation, Yosys) failed: exit code 1.

    The message names the tool and ends with the last lines of its log and where the log lies.
    """
