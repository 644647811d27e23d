"""Constants of a model that stand in instructions: scales, zero points, codes."""

from collections.abc import Mapping
from dataclasses import replace

from rtl.compiler.operations import Operation, Program, Subject
from rtl.isa.instructions import Destination, Opcode, Weights
from rtl.model import Block, IntegerModel, Linear, Norm


def bind(program: Program, model: IntegerModel) -> Program:
    """Fill in the operands that lowering leaves open; returns a new program."""
    norms, linears = model.norms(), model.linears()
    operations = (_bound(each, model, norms, linears) for each in program.operations)
    return replace(program, operations=tuple(operations))


def _bound(
    operation: Operation,
    model: IntegerModel,
    norms: Mapping[str, Norm],
    linears: Mapping[str, Linear],
) -> Operation:
    subject, operands = operation.subject, dict(operation.operands)
    if operation.opcode is Opcode.NORM:
        operands |= _norm_operands(norms[subject.layer])
    elif operation.opcode is Opcode.SOFTMAX:
        operands |= _softmax_operands(model.blocks[subject.block], subject.head)
    elif operation.opcode is Opcode.MATMUL:
        if operands["weights"] == Weights.RING:
            operands["act_signed"] = int(_input_signed(model, norms, subject))
        if operands["destination"] in (Destination.RESIDUAL, Destination.KEPT):
            operands["residual_shift"] = linears[subject.layer].residual_shift
    return operation._replace(operands=operands)


def _norm_operands(norm: Norm) -> dict[str, int]:
    return {
        "epsilon": norm.epsilon,
        "gain": norm.gain,
        "shift": norm.shift,
        "zero": norm.zero,
        "signed": int(norm.signed),
    }


def _softmax_operands(block: Block, head: int) -> dict[str, int]:
    return {
        "multiplier": block.softmax.multiplier[head],
        "shift": block.softmax.shift[head],
        "context_multiplier": block.context.multiplier[head],
        "context_shift": block.context.shift[head],
    }


def _input_signed(model: IntegerModel, norms: Mapping[str, Norm], subject: Subject) -> bool:
    """Whether the codes that enter a layer are signed."""
    name = subject.layer
    if name == "embed":
        return False
    if name == "front":
        return norms["front.norm"].signed
    if name == "head":
        return model.classifier.pool is not None or model.classifier.norm.signed
    if name.startswith("pool."):
        return model.classifier.norm.signed
    prefix, _, layer = name.rpartition(".")
    if layer == "proj":
        return True
    if layer == "fc2":
        return model.blocks[subject.block].hidden_signed
    return norms[f"{prefix}.norm{2 if layer == 'fc1' else 1}"].signed
