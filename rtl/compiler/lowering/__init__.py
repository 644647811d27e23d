"""From a plan to operations: the order of computing, and the address of everything.

- ``network``: the order, top to bottom: embedding, blocks, classifier
- ``attention``: the order within a block's attention, pipelined over heads
- ``pooling``: the mean of the patch tokens, where the head works on that
- ``layers``: one operation for a piece of a matrix or a LayerNorm, and the constants it needs
- ``layout``: addresses of activations, keys, values, scores, the mean and logits
- ``pixels``: addresses of the image, and which strips of it a token tile needs

The values of constants are not needed, only their sizes (:mod:`rtl.compiler.bind` fills in the
scales that stand in instructions), so the search lowers a network before it has weights.
"""

from rtl.compiler.collector import collector_paused
from rtl.compiler.lowering.network import NetworkListing
from rtl.compiler.operations import Operation, Program, Subject
from rtl.compiler.prefetch import prefetch
from rtl.compiler.sizes import Plan
from rtl.compiler.synchronise import synchronise
from rtl.isa.instructions import Opcode, credit_operands

__all__ = ["lower"]


@collector_paused()
def lower(plan: Plan) -> Program:
    """Operations of a network that :func:`rtl.compiler.plan.plan` accepts.

    In four steps: list the computing operations, place LOADs among them, mark who waits for whom,
    enclose them in BEGIN and END.
    """
    listing = NetworkListing(plan)
    body = prefetch(list(listing.operations()), plan)
    marks = synchronise(body)
    begin = {"engine": plan.engine.hash, "instructions": len(body) + 2}
    begin |= credit_operands(marks.credits)
    return Program(
        plan,
        operations=(
            Operation(Opcode.BEGIN, begin, (), (), Subject("begin", "", "")),
            *body,
            Operation(Opcode.END, {}, (), (), Subject("end", "", "")),
        ),
        waits=(0, *marks.waits, 0),
        signals=(0, *marks.signals, 0),
        chunks=tuple(listing.layers.constants.chunks),
        constant_bytes=listing.layers.constants.bytes,
    )
