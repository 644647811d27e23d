"""A graph of ONNX's standard operators, written node by node; what is constant is computed here.

Source: https://onnx.ai/onnx/operators/.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

BATCH = "batch"
"""Name of the axis whose size a caller chooses."""

Operand = str | np.ndarray | np.generic | int
"""A value's name, or a constant; whole numbers are int64."""


@dataclass(frozen=True)
class NamedOutput:
    """A value that may be an output of the graph.

    Parameters
    ----------
    name : str
    dtype : numpy.dtype
    shape : tuple of int
        Without the batch axis.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    def info(self) -> ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        return helper.make_tensor_value_info(self.name, kind, [BATCH, *self.shape])


class GraphWriter:
    """Collects nodes and constants; every method returns the name of what it has written.

    Arithmetic of constants alone is done at once, and gives a constant.

    Attributes
    ----------
    nodes : list of NodeProto
    constants : dict of str to TensorProto
    taps : dict of str to NamedOutput
        Values with a name and a shape, in the order of execution.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.taps: dict[str, NamedOutput] = {}
        self._scope = ""
        self._same: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Begin the names of all nodes and constants within with ``name``."""
        outer, self._scope = self._scope, f"{name}/"
        yield
        self._scope = outer

    def node(self, operator: str, *inputs: Operand, **attributes: Any) -> str:
        """Write a node with one output."""
        output = self._fresh(operator)
        names = [self.named(each) for each in inputs]
        self.nodes.append(helper.make_node(operator, names, [output], output, **attributes))
        return output

    def largest(self, x: str, count: int) -> str:
        """Write the indices of the largest along the last axis, ascending; no two may be equal."""
        last = self._top(x, count, largest=1)[1]
        return self._top(last, count, largest=0)[0]

    def _top(self, x: str, count: int, largest: int) -> tuple[str, str]:
        """Write a TopK, whose values come in order, and their indices."""
        outputs = [self._fresh("TopK.values"), self._fresh("TopK.indices")]
        inputs = [x, self.named(np.array([count]))]
        self.nodes.append(helper.make_node("TopK", inputs, outputs, outputs[0], largest=largest))
        return outputs[0], outputs[1]

    def named(self, operand: Operand, name: str = "constant") -> str:
        """Return the name of a value, or of a constant, which is stored once."""
        if isinstance(operand, str):
            return operand
        array = np.asarray(operand, order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._same:
            name = f"{array.dtype}.{array}" if array.ndim == 0 else self._fresh(name)
            self.constants[name] = numpy_helper.from_array(array, name)
            self._same[key] = name
        return self._same[key]

    def tap(self, name: str, value: str, shape: Sequence[int], dtype: type = np.int64) -> str:
        """Give a value a name under which it may be an output."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name))
        self.taps[name] = NamedOutput(name, np.dtype(dtype), tuple(shape))
        return name

    def cast(self, x: Operand, dtype: type) -> Operand:
        if not isinstance(x, str):
            return np.asarray(x).astype(dtype)
        return self.node("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def plus(self, x: Operand, y: Operand) -> Operand:
        return self.node("Add", x, y) if _any_value(x, y) else np.add(x, y)

    def minus(self, x: Operand, y: Operand) -> Operand:
        return self.node("Sub", x, y) if _any_value(x, y) else np.subtract(x, y)

    def times(self, x: Operand, y: Operand) -> Operand:
        return self.node("Mul", x, y) if _any_value(x, y) else np.multiply(x, y)

    def _fresh(self, name: str) -> str:
        name = self._scope + name
        count = self._count[name] = self._count.get(name, 0) + 1
        return name if count == 1 else f"{name}.{count}"


def _any_value(*operands: Operand) -> bool:
    return any(isinstance(each, str) for each in operands)
