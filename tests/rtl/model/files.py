"""Files of integer models that are edited on purpose, and what a reader says of them."""

import numpy as np
import pytest
from safetensors.numpy import save

from rtl.errors import UserError
from rtl.model import IntegerModel
from rtl.model import file as model_file

SIZES = {
    "image": (8, 8, 1),
    "patch": 4,
    "width": 16,
    "head_dim": 8,
    "blocks": [(2, 24), (1, 16)],
    "classes": 3,
    "row_granularity": 8,
}


def refusal(path):
    """The message of a file that does not load, without its path."""
    with pytest.raises(UserError) as error:
        IntegerModel.load(path)
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def refusal_of(path, model, edit):
    """The message after ``edit(header, tensors)``, with a hash that fits."""
    header, tensors = model.header(), {n: t.copy() for n, t in model.tensors().items()}
    edit(header, tensors)
    model_file.write(path, header, tensors)
    return refusal(path)


def write_header(path, text, tensors=None):
    path.write_bytes(save(tensors or {"a": np.zeros(1, np.int8)}, metadata={"pulsar": text}))


def header_edit(*keys_and_value):
    *keys, last, value = keys_and_value

    def edit(header, tensors):
        for key in keys:
            header = header[key]
        header[last] = value

    return edit


def tensor_edit(name, index, value):
    def edit(header, tensors):
        tensors[name][index] = value

    return edit


def delete(name):
    return lambda header, tensors: tensors.pop(name)


def add(name):
    return lambda header, tensors: tensors.update({name: np.zeros(1, np.int8)})


def recast(name, dtype):
    return lambda header, tensors: tensors.update({name: tensors[name].astype(dtype)})


def cut(name):
    return lambda header, tensors: tensors.update({name: tensors[name][:-1]})


def narrow_row(name):
    """A 4-bit row with a weight that needs 8."""

    def edit(header, tensors):
        tensors[f"{name}.bits"][:] = 4
        tensors[f"{name}.weight"][:] = 0
        tensors[f"{name}.weight"][1, 2] = 8

    return edit
