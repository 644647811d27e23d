"""The whole network, from an image's pixels to its output, with every named tensor as a tap.

Source: docs/numerics.md, sections 3 to 8. In the order and with the names of sim.golden.network.
"""

import numpy as np

from nas.export_onnx import operations as ops
from nas.export_onnx.graph import GraphWriter, NamedOutput, Operand
from rtl.model import Block, Classifier, Features, Front, IntegerModel, Linear, Norm, Pool
from rtl.model.numerics import code_range

IMAGES = "images"
"""Input: (batch, height, width, channels) uint8, as ``preprocessing`` gives them."""
FEATURES = "features"
"""Output beside the residual words, where the model's output is tokens: float32."""
INDICES = "features.tokens"
"""Output beside the features of every token, where only some are left: which these are, int64."""


class NetworkWriter:
    """Writes an integer model as a graph.

    Parameters
    ----------
    model : IntegerModel

    Attributes
    ----------
    graph : GraphWriter
        Its taps are the tensors of docs/numerics.md, section 8, and perhaps ``features``, and which
        tokens these are of.
    outputs : tuple of str
        Taps that are the network's output.
    """

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self.graph = GraphWriter()
        self._activations = code_range(model.act_bits, signed=True)
        self._final = model.shape.final_tokens
        self.outputs: tuple[str, ...] = (model.output_tensor,)
        residual = self._embed()
        if model.front is not None:
            residual = self._front(model.front, residual)
        for i, block in enumerate(model.blocks):
            keys = model.shape.tokens_in(i)
            queries = self._final if i == len(model.blocks) - 1 else range(keys)
            residual = self._block(f"blocks.{i}", block, residual, queries, keys)
        if isinstance(model.output, Features):
            self._features(model.output, residual)
            self.outputs += (FEATURES,)
            if model.output.pool == "all" and model.shape.selects:
                self._indices()
                self.outputs += (INDICES,)
        else:
            self._classify(model.output, residual)

    @property
    def input(self) -> NamedOutput:
        return NamedOutput(IMAGES, np.dtype(np.uint8), self.model.image)

    def _embed(self) -> str:
        """Pixels to the residual stream, (batch, tokens, width)."""
        model, g = self.model, self.graph
        patch, patches, depth = model.patch, model.shape.patches, model.shape.patch_values
        down, across = model.shape.grid
        cut = np.array([0, down, patch, across, patch, model.image[2]])  # 0: as it is
        moved = g.node("Transpose", g.node("Reshape", IMAGES, cut), perm=[0, 1, 3, 2, 4, 5])
        pixels = g.node("Reshape", moved, np.array([0, patches, depth]))
        pixels = g.tap("pixels", pixels, (patches, depth), np.uint8)
        with g.scope("embed"):
            embedded = ops.linear(g, pixels, model.embed, ops.PIXELS, ops.INT16)
            if others := model.tokens - patches:  # to which nothing is added
                embedded = g.node("Pad", embedded, np.array([0, 0, 0, 0, others, 0]))
            position = model.position.astype(np.int64)
            residual = ops.add_codes(g, position, embedded, model.embed.residual_shift)
        return g.tap("embed", residual, (model.tokens, model.width))

    def _front(self, front: Front, residual: str) -> str:
        """The stream that takes the residual stream's place, (batch, tokens, width)."""
        model, g = self.model, self.graph
        normal = self._norm("front.norm", residual, front.norm, model.tokens)
        with g.scope("front"):
            codes = front.norm.range(model.act_bits)
            residual = ops.linear(g, normal, front.layer, codes, ops.INT16)
        return g.tap("front", residual, (model.tokens, model.width))

    def _block(self, name: str, block: Block, residual: str, queries: range, keys: int) -> str:
        """One transformer block, (batch, keys, width) to (batch, queries, width), or to those of
        the queries that stay.
        """
        model, g = self.model, self.graph
        tokens, width = len(queries), model.width
        norm1 = self._norm(f"{name}.norm1", residual, block.norm1, keys)
        asking = self._some(norm1, queries, keys)
        context = self._attention(name, block, norm1, asking, tokens, keys)
        begins: Operand = np.zeros((1, 1, width), np.int64)
        if not block.pools:
            begins = self._some(residual, queries, keys)
        residual = self._add(name, "proj", block, begins, context)
        if block.keep is not None:
            tokens = block.keep + model.shape.others
            residual = self._stay(f"{name}.kept", residual)
        residual = g.tap(f"{name}.attended", residual, (tokens, width))
        norm2 = self._norm(f"{name}.norm2", residual, block.norm2, tokens)
        with g.scope(f"{name}.fc1"):
            inputs = block.input_range("fc1", model.act_bits)
            codes = ops.linear(g, norm2, block.fc1, inputs, ops.INT8)
            hidden = ops.gelu(g, codes, block.gelu, _offsets(block))
        hidden = g.tap(f"{name}.hidden", hidden, (tokens, block.hidden))
        residual = self._add(name, "fc2", block, residual, hidden)
        return g.tap(f"{name}.output", residual, (tokens, width))

    def _attention(
        self, name: str, block: Block, keys: str, queries: str, count: int, tokens: int
    ) -> str:
        """The ``tokens`` that are attended to, and the ``count`` that attend, to the context."""
        model, g = self.model, self.graph
        inner = block.heads * model.head_dim
        if block.pools:
            q = self._query(name, block, keys)
        else:
            q = self._rows(name, "q", block, queries, self._activations, count)
        k = self._rows(name, "k", block, keys, ops.INT8, tokens)
        v = self._rows(name, "v", block, keys, ops.INT8, tokens)
        with g.scope(f"{name}.attention"):
            q = self._by_head(q, block.heads, [0, 2, 1, 3])  # (batch, heads, queries, head_dim)
            k = self._by_head(k, block.heads, [0, 2, 3, 1])  # (batch, heads, head_dim, keys)
            v = self._by_head(v, block.heads, [0, 2, 1, 3])  # (batch, heads, keys, head_dim)
            scores = self._activation_product(q, k, self._activations, model.head_dim)
            per_key = (block.heads, count, tokens)
            scores = g.tap(f"{name}.scores", scores, per_key)
            exact = ops.exact_weights(g, scores, block.softmax, model.act_bits)
            weights = ops.dithered(g, exact, tokens)
            weights = g.tap(f"{name}.attention", g.named(weights), per_key)
            if block.keep is not None:
                self._select(name, block.keep, exact, weights, tokens)
            acc = self._activation_product(weights, v, code_range(model.act_bits, False), tokens)
            context = ops.context(g, acc, weights, block.context, self._activations)
            joined = g.node("Transpose", context, perm=[0, 2, 1, 3])
            joined = g.node("Reshape", joined, np.array([0, 0, inner]))
        return g.tap(f"{name}.context", joined, (count, inner))

    def _select(self, name: str, keep: int, exact: str, weights: str, tokens: int) -> None:
        """The weights of the class token, the last of ``tokens``, to the tokens that stay."""
        g, others = self.graph, self.model.shape.others
        patches = tokens - others
        row = [np.array([end]) for end in (tokens - 1, tokens, 2)]
        found = ops.importance(g, g.node("Slice", exact, *row), g.node("Slice", weights, *row))
        found = g.node("Slice", found, np.array([0]), np.array([patches]), np.array([1]))
        found = g.tap(f"{name}.importance", found, (patches,))
        stay = ops.select(g, found, keep, patches)
        shape = g.node("Concat", g.node("Shape", found, end=1), np.array([others]), axis=0)
        behind = g.node("Expand", np.arange(patches, tokens), shape)
        kept = g.node("Concat", stay, behind, axis=1)
        g.tap(f"{name}.kept", kept, (keep + others,))

    def _stay(self, kept: str, x: str) -> str:
        """Gather tokens: of (batch, tokens, ...), those that ``kept``, (batch, indices), names."""
        index = self.graph.node("Unsqueeze", kept, np.array([-1]))
        return self.graph.node("GatherND", x, index, batch_dims=1)

    def _indices(self) -> None:
        """Write which tokens are left, by their index in front of the blocks."""
        shape = self.model.shape
        first, *later = [f"blocks.{i}.kept" for i, b in enumerate(shape.blocks) if b.keep]
        with self.graph.scope(INDICES):
            for kept in later:
                first = self._stay(kept, first)
        self.graph.tap(INDICES, first, (shape.tokens_in(len(shape.blocks)),))

    def _query(self, name: str, block: Block, images: str) -> str:
        """A constant query for each of the images, (batch, 1, heads * head_dim)."""
        g = self.graph
        with g.scope(f"{name}.q"):
            shape = g.node(
                "Concat", g.node("Shape", images, start=0, end=1), np.array([1, 1]), axis=0
            )
            acc = g.node("Expand", np.zeros((1, 1, 1), np.int64), shape)
            codes = ops.requantize(g, acc, block.q, self._activations)
        return g.tap(f"{name}.q", codes, (1, block.q.rows))

    def _classify(self, output: Classifier, residual: str) -> None:
        """The last block's tokens to the logits."""
        model, g = self.model, self.graph
        final = self._norm("norm", residual, output.norm, len(self._final))
        inputs = output.norm.range(model.act_bits)
        if output.pool is not None:
            final, inputs = self._pool(output.norm, output.pool, final), self._activations
        with g.scope("head"):
            logits = ops.linear(g, final, output.head, inputs, ops.INT16)
            logits = g.node("Squeeze", logits, np.array([1]))
        g.tap("logits", logits, (model.classes,))

    def _pool(self, norm: Norm, pool: Pool, final: str) -> str:
        """The final LayerNorm of the patches to their mean, (batch, 1, width)."""
        model, g = self.model, self.graph
        patches = model.shape.patches
        with g.scope("pool"):
            values = g.named(g.minus(final, norm.centre(model.act_bits)))
            values = g.tap("pool.values", values, (patches, model.width))
            batch = g.node("Shape", final, start=0, end=1)
            shape = g.node("Concat", batch, np.array([1, model.tokens]), axis=0)
            weights = (np.arange(model.tokens) < patches).astype(np.int64)
            g.tap("pool.weights", g.node("Expand", weights, shape), (1, model.tokens))
            acc = g.node("ReduceSum", values, np.array([1]))
            mean = ops.requantize(g, acc, pool, self._activations)
        return g.tap("pool", mean, (1, model.width))

    def _features(self, output: Features, residual: str) -> None:
        """Residual words to features, as docs/format.md says, in float64."""
        model, g = self.model, self.graph
        everything = range(model.shape.tokens_in(len(model.blocks)))
        tokens = {"token": everything[-1:], "mean": everything[: model.shape.patches]}
        last = np.array([-1])
        with g.scope("features"):
            some = self._some(residual, tokens.get(output.pool, everything), len(everything))
            x = g.times(g.cast(some, np.float64), np.float64(output.scale))
            if output.epsilon is not None:
                x = g.minus(x, g.node("ReduceMean", x, last))
                variance = g.node("ReduceMean", g.times(x, x), last)
                root = g.node("Sqrt", g.plus(variance, np.float64(output.epsilon)))
                x = g.node("Div", x, root)
            matrix = g.cast(g.named(output.matrix.T, "matrix"), np.float64)
            found = g.node("MatMul", x, matrix)
            found = g.plus(found, output.bias.astype(np.float64))
            shape: tuple[int, ...] = output.bias.shape
            if output.pool == "all":
                shape = (len(everything), *shape)
            else:
                found = g.node("ReduceMean", found, np.array([1]), keepdims=0)
            found = g.cast(found, np.float32)
        g.tap(FEATURES, g.named(found), shape, np.float32)

    # --- parts -----------------------------------------------------------------------------------

    def _norm(self, name: str, residual: str, norm: Norm, tokens: int) -> str:
        model, g = self.model, self.graph
        with g.scope(name):
            codes = ops.layer_norm(g, residual, norm, model.width, norm.range(model.act_bits))
        return g.tap(name, codes, (tokens, model.width))

    def _rows(
        self, name: str, layer: str, block: Block, x: str, codes: ops.Codes, tokens: int
    ) -> str:
        """A layer of the attention, (batch, tokens, heads * head_dim)."""
        linear: Linear = getattr(block, layer)
        with self.graph.scope(f"{name}.{layer}"):
            inputs = block.input_range(layer, self.model.act_bits)
            found = ops.linear(self.graph, x, linear, inputs, codes)
        return self.graph.tap(f"{name}.{layer}", found, (tokens, linear.rows))

    def _add(self, name: str, layer: str, block: Block, residual: Operand, x: str) -> str:
        with self.graph.scope(f"{name}.{layer}"):
            inputs = block.input_range(layer, self.model.act_bits)
            return ops.add_to(self.graph, residual, x, getattr(block, layer), inputs)

    def _activation_product(self, x: str, y: str, codes: ops.Codes, depth: int) -> str:
        """Multiply codes by keys or values, of whose ranges everything is possible."""
        how = ops.product_of(codes, 2 * 128, depth * 128)
        return self.graph.named(ops.multiply(self.graph, x, y, codes, how))

    def _by_head(self, x: str, heads: int, axes: list[int]) -> str:
        """(batch, tokens, heads * head_dim) to four axes in another order."""
        split = np.array([0, 0, heads, self.model.head_dim])
        return self.graph.node("Transpose", self.graph.node("Reshape", x, split), perm=axes)

    def _some(self, x: str, tokens: range, of: int) -> str:
        if tokens == range(of):
            return x
        ends = (np.array([end]) for end in (tokens.start, tokens.stop, 1))
        return self.graph.node("Slice", x, *ends)


def _offsets(block: Block) -> Operand:
    """Entries of the GELU tables before the one for each unit's code 0."""
    if block.first_units is None:
        return 128
    return np.where(np.arange(block.hidden) < block.first_units, 128, 128 + 256)
