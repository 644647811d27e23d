"""The integer model in PyTorch: batches of images on CPU or GPU, every code equal to golden's.

This is how accuracy is measured. Codes are whole numbers in floating point, exact by construction:
sums below 2**24 in float32, or below 2**53 in float64, round nowhere, in whatever order. Matrices
are in float32 where the sum of magnitudes proves that bound, and in float64 elsewhere. Rescaling is
in float64: accumulator times multiplier has at most 47 bits, and powers of two are exact. TF32
changes nothing, as it keeps 11 bits of a factor, and codes have at most 8.

Source: docs/numerics.md. Reference: sim.golden.
"""

import torch
from torch import Tensor

from nas.numerics.codes import INT8, INT16, look_up
from nas.numerics.parts import (
    IntegerBlock,
    IntegerClassifier,
    IntegerFront,
    IntegerLinear,
    IntegerSoftmax,
    Record,
    context_scale,
    exact_type,
    int64_tensor,
    requantize,
)
from nas.numerics.reshape import join_heads, patches_of, split_heads
from rtl.model import Features, IntegerModel
from rtl.model.numerics import code_range
from rtl.model.parts import magnitude

CHUNK_VALUES = 1 << 20  # of the largest tensor: chunks of a batch that stay near the caches
CHUNK_VALUES_GPU = 1 << 24


class IntegerNetwork:
    """Executes an integer model with torch tensors.

    Parameters
    ----------
    model : IntegerModel
        Valid, as every :class:`~rtl.model.IntegerModel` is: the proof that its accumulators stay
        below 2**26 is part of the proof that all of this is exact.
    device : torch.device or str
        Device of the tensors.
    """

    def __init__(self, model: IntegerModel, device: torch.device | str = "cpu") -> None:
        self.model = model
        self.device = torch.device(device)
        self._position = int64_tensor(model.position, self.device).double()
        pixels = code_range(8, signed=False)
        self._embed = IntegerLinear(model.embed, pixels, INT16, self.device)
        self._front = model.front and IntegerFront(model.front, model.act_bits, self.device)
        self._blocks = [IntegerBlock(block, model.act_bits, self.device) for block in model.blocks]
        self._classifier = (
            None
            if isinstance(model.output, Features)
            else IntegerClassifier(model, model.output, self.device)
        )
        self._softmax = IntegerSoftmax(model.act_bits, model.tokens, self.device)
        self._context_range = code_range(model.act_bits, signed=True)
        attention = model.tokens * ((1 << model.act_bits) - 1) * magnitude(INT8)
        self._attention_type = exact_type(attention)

    @torch.no_grad()
    def run(
        self,
        images: Tensor,
        *,
        tensors: dict[str, Tensor] | None = None,
        kept: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Compute the output of images.

        Parameters
        ----------
        images : (batch, height, width, channels) uint8
        tensors : dict, optional
            Receives every tensor of numerics section 8 by name, each ``(batch, *shape)`` int32,
            in the order of execution.
        kept : dict, optional
            Receives the tokens that stay, ``blocks.i.kept``, alone: all tensors take much memory.

        Returns
        -------
        (batch, classes) int32
            Logits. Where the model's output is tokens: their residual words, (batch, tokens,
            width), or (batch, 1, width) of the pooled one.

        Raises
        ------
        ValueError
            If ``images`` has another type or shape.
        """
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != self.model.image:
            raise ValueError(
                f"images must be uint8 (batch, {', '.join(map(str, self.model.image))}),"
                f" not {images.dtype} {tuple(images.shape)}"
            )
        chunks: dict[str, list[Tensor]] = {}

        def record(name: str, tensor: Tensor) -> None:
            chosen = name == self.model.output_tensor or name.endswith(".kept")
            if tensors is not None or chosen:
                chunks.setdefault(name, []).append(tensor.to(torch.int32))

        for chunk in images.split(self._chunk_images()):
            self._compute(chunk.to(self.device), record)
        found = {name: torch.cat(parts) for name, parts in chunks.items()}
        if tensors is not None:
            tensors.update(found)
        if kept is not None:
            kept.update((name, of) for name, of in found.items() if name.endswith(".kept"))
        return found[self.model.output_tensor]

    def _chunk_images(self) -> int:
        model = self.model
        per_token = max(max(block.hidden, block.heads * model.tokens) for block in model.blocks)
        values = CHUNK_VALUES if self.device.type == "cpu" else CHUNK_VALUES_GPU
        return max(1, values // (model.tokens * max(per_token, model.width)))

    def _compute(self, images: Tensor, record: Record) -> None:
        residual = self._preload(images, record)  # (batch, tokens, width)
        if self._front:
            residual = self._front(residual, record)
        for i, block in enumerate(self._blocks):

            def record_in_block(name: str, tensor: Tensor, prefix: str = f"blocks.{i}") -> None:
                record(f"{prefix}.{name}", tensor)

            last = i == len(self._blocks) - 1
            queries = self.model.shape.final_tokens if last else range(residual.shape[1])
            residual = self._block(block, residual, queries, record_in_block)
        if self._classifier:
            self._classifier(residual, record)

    def _preload(self, images: Tensor, record: Record) -> Tensor:
        """Pixels to the residual stream: (batch, tokens, width)."""
        pixels = patches_of(images, self.model.patch).float()  # (batch, patches, patch values)
        record("pixels", pixels)
        residual = self._position.repeat(len(images), 1, 1)
        # Registers and the class token, behind the patches, have none.
        patches = slice(pixels.shape[1])
        residual[:, patches] = self._embed.add_to(residual[:, patches], pixels)
        record("embed", residual)
        return residual

    def _block(
        self, block: IntegerBlock, residual: Tensor, queries: range, record: Record
    ) -> Tensor:
        """(batch, tokens, width) to (batch, queries, width), or to those of them that stay."""
        norm1 = block.norm1(residual)
        record("norm1", norm1)
        needed = slice(queries.start, queries.stop)
        context, kept = self._attention(block, norm1[:, needed], norm1, record)
        residual = residual[:, needed]
        if block.pools:
            residual = torch.zeros_like(residual)  # of the query, nothing stays
        residual = block.proj.add_to(residual, context)
        if kept is not None:
            residual = residual.take_along_dim(kept.unsqueeze(-1), 1)
        record("attended", residual)
        norm2 = block.norm2(residual)
        record("norm2", norm2)
        hidden = look_up(block.gelu, block.fc1(norm2) + block.gelu_offset)
        record("hidden", hidden)
        residual = block.fc2.add_to(residual, hidden)
        record("output", residual)
        return residual

    def _attention(
        self, block: IntegerBlock, queries: Tensor, keys: Tensor, record: Record
    ) -> tuple[Tensor, Tensor | None]:
        """(batch, queries, width), (batch, keys, width) to (batch, queries, heads * head_dim), and
        the queries that stay, (batch, tokens), if not all do.
        """
        q = block.q(queries[..., :0] if block.pools else queries)
        k, v = block.k(keys), block.v(keys)
        for name, tensor in (("q", q), ("k", k), ("v", v)):
            record(name, tensor)
        q, k, v = (split_heads(tensor, self.model.head_dim) for tensor in (q, k, v))
        # At most 22 bits: docs/numerics.md, section 2.
        scores = q @ k.transpose(-1, -2)  # (batch, heads, queries, keys)
        record("scores", scores)
        weights = self._softmax(scores, block.softmax)
        record("attention", weights)
        totals = weights.sum(-1, keepdim=True)
        kept = self._select(block, scores[:, :, -1], totals[:, :, -1], record)
        kind = self._attention_type
        acc = weights.to(kind) @ v.to(kind)  # (batch, heads, queries, head_dim)
        scale = context_scale(totals, *block.context)
        context = join_heads(requantize(acc, scale, 0.5, self._context_range))
        record("context", context)
        return context, kept

    def _select(
        self, block: IntegerBlock, scores: Tensor, totals: Tensor, record: Record
    ) -> Tensor | None:
        """The class token's scores (batch, heads, keys), and sums of its attention weights, (batch,
        heads, 1), to the tokens that stay, (batch, tokens), ascending.
        """
        if block.keep is None:
            return None
        keys = scores.shape[-1]
        patches = keys - self.model.shape.others
        terms = self._softmax.importance_terms(scores, block.softmax[..., 0], totals)
        importance = terms.sum(1)[:, :patches]
        record("importance", importance)
        order = importance.sort(dim=-1, descending=True, stable=True).indices
        others = torch.arange(patches, keys, device=scores.device).expand(len(scores), -1)
        kept = torch.cat([order[:, : block.keep].sort(dim=-1).values, others], 1)
        record("kept", kept)
        return kept
