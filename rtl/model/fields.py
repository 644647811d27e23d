"""The keys of a JSON object, taken one by one."""

from typing import Any

from boards.host.checks import shown
from rtl.errors import UserError


class Fields:
    """A JSON object whose keys are taken one by one, until ``finish`` finds none left over."""

    def __init__(self, name: str, value: object):
        if type(value) is not dict:
            raise UserError(f"{name} must be an object, not {shown(value)}")
        self._name = name
        self._values = dict(value)

    def take(self, key: str) -> Any:
        if key not in self._values:
            raise UserError(f"{self._name} lacks the key '{key}'")
        return self._values.pop(key)

    def has(self, key: str) -> bool:
        """Whether a key is there and was not taken."""
        return key in self._values

    def object(self, key: str) -> "Fields":
        return Fields(f"{self._name}.{key}", self.take(key))

    def list(self, key: str) -> list[Any]:
        value = self.take(key)
        if type(value) is not list:
            raise UserError(f"{self._name}.{key} must be a list, not {shown(value)}")
        return value

    def finish(self) -> None:
        for key in self._values:
            raise UserError(f"{self._name} has an unknown key {shown(key)}")
