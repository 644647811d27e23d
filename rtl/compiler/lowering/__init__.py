"""A network's shape to operations: the order of computing, and where everything lies.

- ``network``: the order, top to bottom: embedding, blocks, classifier
- ``attention``: the order within a block's attention, pipelined over heads
- ``pooling``: the mean of the patch tokens, where the head works on that
- ``layers``: one operation for a piece of a matrix or a LayerNorm, and the constants it needs
- ``layout``: addresses of activations, keys, values, scores, the mean and logits
- ``pixels``: addresses of the picture, and which strips of it a token tile needs

The values of constants are not needed, only their sizes (:mod:`rtl.compiler.bind` fills in the
scales that stand in instructions), so the search lowers a network before it has weights.
"""

from rtl.compiler.collector import collector_paused
from rtl.compiler.lowering.network import Network
from rtl.compiler.operations import Operation, Program, Subject
from rtl.compiler.prefetch import prefetch
from rtl.compiler.sizes import Plan
from rtl.compiler.synchronise import synchronise
from rtl.isa.instructions import Opcode, credit_operands

__all__ = ["lower"]


@collector_paused()
def lower(plan: Plan) -> Program:
    """Operations of a network that :func:`rtl.compiler.plan.plan` accepts.

    In four steps: list the computing operations, place LOADs among them, enclose them in BEGIN
    and END, mark who waits for whom.
    """
    network = Network(plan)
    body = prefetch(list(network.operations()), plan)
    marks = synchronise(body)
    begin = {"engine": plan.engine.hash, "instructions": len(body) + 2}
    begin |= credit_operands(marks.credits)
    operations = [
        Operation(Opcode.BEGIN, begin, [], [], Subject("begin", "", "")),
        *body,
        Operation(Opcode.END, {}, [], [], Subject("end", "", "")),
    ]
    return Program(
        plan,
        operations,
        waits=[0, *marks.waits, 0],
        signals=[0, *marks.signals, 0],
        chunks=network.layers.constants.chunks,
        constant_bytes=network.layers.constants.bytes,
    )
