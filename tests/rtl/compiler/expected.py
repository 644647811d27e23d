"""A compiled model, golden's tensors of an image, and the writes that follow from them."""

from rtl.compiler import compile_model
from rtl.config import TINY
from sim import golden
from sim.random_model import random_images, random_model

MODEL = random_model(patch=14, width=32, head_dim=16, blocks=((2, 64),) * 2, classes=5)
COMPILED = compile_model(MODEL, TINY)


def tensors_of(compiled):
    record = {}
    golden.run(compiled.model, random_images(compiled.model.image, 1), tensors=record)
    return {name: value[0] for name, value in record.items()}


def expected_writes(tensors, kind, tensor, head=-1, compiled=COMPILED):
    number = number_of(kind, tensor, head, compiled)
    expected = compiled.symbols().expected_writes(number, tensors)
    assert expected is not None
    return expected


def number_of(kind, tensor, head=-1, compiled=COMPILED):
    for number, operation in enumerate(compiled.program.operations):
        subject = operation.subject
        if (subject.kind, subject.tensor, subject.head) == (kind, tensor, head):
            return number
    raise AssertionError((kind, tensor, head))
