"""A network of 7 tokens for the tests of lowering."""

from rtl.compiler import lower, plan
from sim.random_model import random_model

SHAPE = random_model(  # 7 tokens: two token tiles, the class token with two patches
    image=(28, 42, 1), patch=14, width=48, head_dim=32, blocks=((3, 64),) * 2, classes=5
).shape


def subjects(engine, block):
    """Of computing operations, in the program's order."""
    operations = lower(plan(SHAPE, engine)).operations
    return [op.subject for op in operations if op.subject.block == block]
