"""The compiler: an integer model and an engine to a program and its memory image.

Passes in the order in which data goes through them. Each takes frozen values and returns a new one:

============  ==============================  ==============================  ====================
pass          takes                           returns                         refuses
============  ==============================  ==============================  ====================
plan          network shape, engine           :class:`Plan`: tiles, padded    what does not fit
                                              sizes, words of scratchpads     the engine
lower         plan                            computing operations, each      nothing
                                              with the constants it needs
prefetch      these                           operations with LOADs among     nothing
                                              them; all addresses
synchronise   operations                      waits and signals beside        a semaphore that
                                              them, credits                   might overflow
bind          :class:`Program`, model         the program with scales, zero   nothing
                                              points and signs
image         program, model                  bytes of the MODEL region,      nothing
                                              :class:`MemoryMap`
============  ==============================  ==============================  ====================

:func:`lower` does the second to the fourth: a :class:`Program` has no weights yet, and its cycles
depend on none. :func:`compile_model` does them all::

    compiled = compile_model(model, ENGINES["tiny"])
    compiled.region            # bytes of the MODEL region
    compiled.memory            # MemoryMap: where the program is, how large each region

The order of computing is in ``lowering``. The vocabulary of the passes: ``tiles`` (tokens and
matrices in tiles), ``sizes`` (:class:`Plan`), ``operations`` (:class:`Operation`,
:class:`Program`), ``runs`` (matrices cut for ring and instruction), ``requests`` (constants and
pixels to be loaded), ``constants`` (their places in memory), ``allocator`` (their places on the
chip), ``matrices`` (padding). ``collector`` makes Python faster.
``package`` writes what a board's host reads.

``symbols`` and ``divergence`` lead back: from an instruction to the tensor elements that it must
write, and to the first one that an engine got wrong; ``selection`` knows which tokens of the image
are left, and which counts of them fill no token tile.

Source: docs/design/0001-engine.md.
"""

from dataclasses import dataclass

import numpy as np

from boards.host.meaning import RESIDUAL, FeatureMeaning, LogitMeaning
from rtl.compiler.bind import bind
from rtl.compiler.divergence import Divergence, Expected, compare
from rtl.compiler.image import MemoryMap, content_hash, model_region
from rtl.compiler.lowering import lower
from rtl.compiler.operations import Operation, Program
from rtl.compiler.plan import plan, plan_model
from rtl.compiler.sizes import Plan
from rtl.compiler.symbols import Symbols, symbol_table
from rtl.compiler.synchronise import check_semaphores
from rtl.config import EngineConfig
from rtl.model import Features, IntegerModel

__all__ = [
    "Compiled",
    "Divergence",
    "Expected",
    "MemoryMap",
    "Operation",
    "Plan",
    "Program",
    "Symbols",
    "compare",
    "compile_model",
    "lower",
    "meaning_of",
    "plan",
    "plan_model",
    "symbol_table",
]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model compiled for an engine.

    Parameters
    ----------
    model : IntegerModel
    program : Program
        Operations with their subjects; the index is the instruction's number.
    region : bytes
        Content of the MODEL region: constants, then the program at ``memory.program_offset``.
    memory : MemoryMap
    hash : str
        SHA-256 of ``region``.
    """

    model: IntegerModel
    program: Program
    region: bytes
    memory: MemoryMap
    hash: str

    @property
    def code(self) -> bytes:
        """The program alone."""
        return self.region[self.memory.program_offset :]

    def output(self, regions: np.ndarray) -> np.ndarray:
        """Logits or tokens of images, from the bytes that the engine has written.

        Parameters
        ----------
        regions : (images, bytes) uint8
            OUTPUT region of each image; bytes behind the output do not matter.

        Returns
        -------
        (images, classes) or (images, tokens, width) int32
        """
        return self.meaning.decode(regions)

    def indices(self, regions: np.ndarray) -> np.ndarray | None:
        """Index in the image of each token that :meth:`output` gives, where some were dropped.

        Returns
        -------
        (images, tokens) int32, or None where it gives all tokens, or no tokens
        """
        return self.meaning.indices(regions)

    @property
    def meaning(self) -> LogitMeaning | FeatureMeaning:
        """The meaning of an OUTPUT region."""
        return meaning_of(self.model, self.program.plan)

    def symbols(self) -> Symbols:
        """Expected writes of each instruction, given golden's tensors."""
        return Symbols(self.program, self.region, self.model.position)


def meaning_of(model: IntegerModel, plan: Plan) -> LogitMeaning | FeatureMeaning:
    """Return the meaning of an OUTPUT region of a model that was planned."""
    output = model.output
    if not isinstance(output, Features):
        return LogitMeaning(model.class_names, float(output.output_scale))
    return FeatureMeaning(
        tokens=len(plan.shape.final_tokens),
        patches=plan.shape.patches_in(len(plan.shape.blocks)),
        width=plan.shape.width,
        row_values=plan.token_bytes // RESIDUAL.itemsize,
        index_column=plan.index_column,
        matrix=output.matrix,
        bias=output.bias,
        epsilon=None if output.epsilon is None else float(output.epsilon),
        scale=float(output.scale),
        pool=output.pool,
    )


def compile_model(model: IntegerModel, engine: EngineConfig) -> Compiled:
    """Compile; deterministic to the byte.

    Raises
    ------
    UserError
        If the engine cannot run the model: names the limit and by how much it is exceeded.
    """
    program = lower(plan_model(model, engine))
    check_semaphores(program)
    program = bind(program, model)
    region = model_region(program, model)
    return Compiled(model, program, region, MemoryMap.of(program), content_hash(region))
