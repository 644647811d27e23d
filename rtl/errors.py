"""The exceptions that a command turns into a message instead of a traceback."""

from boards.host.errors import DeviceError, ToolError, UserError

__all__ = ["DeviceError", "ToolError", "UserError"]
