"""The exceptions that a command turns into a message instead of a traceback."""


class UserError(Exception):
    """A mistake that the user can put right: exit code 2.

    The message is one line and says what is wrong, the value, the limit and the remedy:
    ``unknown board 'zcu106': choose one of sim, ulx3s, zcu102``.
    """


class DeviceError(UserError):
    """A device that is not there, does not answer, or has stopped: exit code 2.

    The message names the register or file, and the state that it was in.
    """


class ToolError(Exception):
    """An external tool (Verilator, a simulation, Yosys) failed: exit code 1.

    The message names the tool and ends with the last lines of its log and where the log lies.
    """
