"""docs/numerics.md again, number by number in Python's integers: slow, and without NumPy's rules.

Written from the page, not from ``sim.golden``, so that one mistake is not in both. The tables are
computed here too, with 60 decimal digits.
"""

from decimal import Decimal, getcontext

from rtl.model import Features

getcontext().prec = 60
HALF = Decimal("0.5")


def clip(x, low, high):
    return low if x < low else high if x > high else x


def int8(x):
    return clip(x, -128, 127)


def int16(x):
    return clip(x, -32768, 32767)


def act(x, a, signed):
    return clip(x, -(2 ** (a - 1)), 2 ** (a - 1) - 1) if signed else clip(x, 0, 2**a - 1)


def rsqrt_entry(i):
    return int(Decimal(2**16) / ((Decimal(i) + Decimal("64.5")) / 256).sqrt() + HALF)


def exp2_entry(f, a):
    return int(Decimal((2**a - 1) * 256) * Decimal(2) ** (Decimal(-f) / 256) + HALF)


RSQRT_TABLE = [rsqrt_entry(i) for i in range(192)]
EXP2_TABLES = {a: [exp2_entry(f, a) for f in range(256)] for a in (4, 6, 8)}


def requantize(acc, bias, m, s):
    return ((acc + bias) * m + (1 << (s - 1))) >> s


def linear(x, layer, code):
    """One token's codes through a layer."""
    out = []
    for row in range(len(layer.weight)):
        acc = sum(v * int(w) for v, w in zip(x, layer.weight[row], strict=True))
        bias, m, s = (int(t[row]) for t in (layer.bias, layer.multiplier, layer.shift))
        out.append(code(requantize(acc, bias, m, s)))
    return out


def add(r, y, shift):
    return [int16(a + (b << shift)) for a, b in zip(r, y, strict=True)]


def rsqrt(v):
    e = (v.bit_length() + 1) >> 1
    m = v << (26 - 2 * e) if 2 * e <= 26 else v >> (2 * e - 26)
    y0 = RSQRT_TABLE[(m >> 18) - 64]
    q = (y0 * y0) >> 17
    p = (m * q) >> 21
    return (y0 * (3 * 2**20 - p)) >> 22, e


def layer_norm(r, norm, a):
    d = len(r)
    s1, s2 = sum(r), sum(x * x for x in r)
    k, e = rsqrt(d * s2 - s1 * s1 + norm.epsilon)
    k = (k * norm.gain) >> 16
    out = []
    for x, t in zip(r, norm.exponent.tolist(), strict=True):
        s = e + norm.shift + t
        y = norm.zero + ((x * (d * k) + -s1 * k + (1 << (s - 1))) >> s)
        out.append(act(y, a, norm.signed))
    return out


def exact_weights(scores, m, s, a):
    top, out = max(scores), []
    for score in scores:
        u = min(4095, ((top - score) * m) >> s)
        out.append(EXP2_TABLES[a][u & 255] >> (u >> 8))
    return out


def softmax(scores, m, s, a):
    weights = exact_weights(scores, m, s, a)
    return [(w + ((159 * j) & 255)) >> 8 for j, w in enumerate(weights)]


def selection(model, block, scores, attention):
    """Importance and kept tokens of (heads, tokens, tokens) scores and attention weights."""
    tokens = len(scores[0])
    patches = tokens - model.registers - 1
    importance = [0] * patches
    for h, (rows, weights) in enumerate(zip(scores, attention, strict=True)):
        m, s, total = block.softmax.multiplier[h], block.softmax.shift[h], sum(weights[-1])
        length = total.bit_length()
        reciprocal = 2 ** (15 + length) // total
        w = exact_weights(rows[-1], m, s, model.act_bits)
        for j in range(patches):
            importance[j] += (w[j] * reciprocal) >> (length + 7)
    # A patch stays where fewer than ``keep`` others are larger, or as large and in front of it.
    order = [(-value, j) for j, value in enumerate(importance)]
    stay = [j for j in range(patches) if sum(o < order[j] for o in order) < block.keep]
    return importance, stay + list(range(patches, tokens))


def context_scale(total, c, shift):
    length = total.bit_length()
    reciprocal = (1 << (15 + length)) // total
    return (reciprocal * c) >> 15, length + shift


def classify(model, image):
    """One image (height, width, channels) to a dict of every named tensor, as nested lists."""
    a, size = model.act_bits, model.patch
    height, width, channels = model.image
    tensors = {}

    pixels = []
    for top in range(0, height, size):
        for left in range(0, width, size):
            patch = []
            for y in range(size):
                for x in range(size):
                    patch += [int(image[top + y][left + x][c]) for c in range(channels)]
            pixels.append(patch)
    tensors["pixels"] = pixels
    residual = [[int(x) for x in row] for row in model.position]
    for p, patch in enumerate(pixels):
        y = linear(patch, model.embed, int16)
        residual[p] = add(residual[p], y, model.embed.residual_shift)
    tensors["embed"] = residual
    if model.front:
        tensors["front.norm"] = [layer_norm(r, model.front.norm, a) for r in residual]
        residual = [linear(x, model.front.layer, int16) for x in tensors["front.norm"]]
        tensors["front"] = residual

    for i, block in enumerate(model.blocks):
        first, stop = 0, len(residual)
        if i == len(model.blocks) - 1:
            first, stop = final_tokens(model, len(pixels), stop)
        made = run_block(model, block, residual, first, stop)
        residual = made["output"]
        tensors |= {f"blocks.{i}.{name}": tensor for name, tensor in made.items()}

    if isinstance(model.output, Features):
        return tensors
    tensors["norm"] = [layer_norm(r, model.classifier.norm, a) for r in residual]
    final = tensors["norm"][0]
    if model.classifier.pool:
        tensors |= mean(model, tensors["norm"])
        final = tensors["pool"][0]
    tensors["logits"] = linear(final, model.classifier.head, int16)
    return tensors


def final_tokens(model, patches, tokens):
    if isinstance(model.output, Features):
        return (tokens - 1 if model.output.pool == "attention" else 0), tokens
    return (0, patches) if model.classifier.pool else (tokens - 1, tokens)


def mean(model, norm):
    a, pool = model.act_bits, model.classifier.pool
    o = 0 if model.classifier.norm.signed else 2 ** (a - 1)
    values = [[x - o for x in token] for token in norm]
    out = []
    for c in range(model.width):
        acc = sum(token[c] for token in values)
        bias, m, s = int(pool.bias[c]), int(pool.multiplier[c]), int(pool.shift[c])
        out.append(act(requantize(acc, bias, m, s), a, True))
    weights = [1] * len(values) + [0] * (model.registers + model.class_token)
    return {"pool.values": values, "pool.weights": [weights], "pool": [out]}


def table_of(block, unit):
    if block.first_units is None:
        return block.gelu
    return block.gelu[0] if unit < block.first_units else block.gelu[1]


def run_block(model, block, residual, first, stop):
    """Tokens ``first`` ... ``stop - 1`` of a block's output."""
    a, d = model.act_bits, model.head_dim

    def signed(x):
        return act(x, a, True)

    norm1 = [layer_norm(r, block.norm1, a) for r in residual]
    k = [linear(x, block.k, int8) for x in norm1]
    v = [linear(x, block.v, int8) for x in norm1]
    residual = residual[first:stop]
    if model.output.pool == "attention" and block is model.blocks[-1]:
        q, residual = [linear([], block.q, signed)], [[0] * model.width]
    else:
        q = [linear(x, block.q, signed) for x in norm1[first:stop]]

    scores, attention, context = [], [], [[] for _ in q]
    for h in range(block.heads):
        dims = range(h * d, (h + 1) * d)
        rows = [[sum(query[i] * key[i] for i in dims) for key in k] for query in q]
        scores.append(rows)
        m, s = block.softmax.multiplier[h], block.softmax.shift[h]
        weights = [softmax(row, m, s, a) for row in rows]
        attention.append(weights)
        for token, e in enumerate(weights):
            scale = context_scale(sum(e), block.context.multiplier[h], block.context.shift[h])
            for i in dims:
                acc = sum(e[j] * v[j][i] for j in range(len(v)))
                context[token].append(signed(requantize(acc, 0, *scale)))

    attended = [
        add(r, linear(x, block.proj, int16), block.proj.residual_shift)
        for r, x in zip(residual, context, strict=True)
    ]
    chosen = {}
    if block.keep is not None:
        chosen["importance"], chosen["kept"] = selection(model, block, scores, attention)
        attended = [attended[token] for token in chosen["kept"]]
    norm2 = [layer_norm(r, block.norm2, a) for r in attended]
    hidden = [
        [int(table_of(block, unit)[c + 128]) for unit, c in enumerate(linear(x, block.fc1, int8))]
        for x in norm2
    ]
    output = [
        add(r, linear(x, block.fc2, int16), block.fc2.residual_shift)
        for r, x in zip(attended, hidden, strict=True)
    ]
    return {
        "norm1": norm1,
        "q": q,
        "k": k,
        "v": v,
        "scores": scores,
        "attention": attention,
        "context": context,
        "attended": attended,
        **chosen,
        "norm2": norm2,
        "hidden": hidden,
        "output": output,
    }
