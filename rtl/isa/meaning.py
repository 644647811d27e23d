"""The meaning of every instruction as a loop nest, for docs/isa.md.

Names in the loop nests are the instruction's operands, in capitals the engine's sizes: T token
lanes, R row lanes, D depth lanes; a granule is D codes, R / D granules are a word. The same,
executable: :mod:`rtl.isa.semantics`. Divisions round down.
"""

from rtl.isa.instructions import Opcode

MEANING: dict[Opcode, str] = {
    Opcode.BEGIN: """
assert engine == hash of this engine and instructions == program_bytes / 32
if this is the first image:
    for each pair of units (producer, consumer):
        semaphore[producer][consumer] = the operand <producer>_to_<consumer>
""",
    Opcode.LOAD: """
data = memory[base of the image + offset :][: bytes]
target WEIGHTS, PARAMETERS, EXPONENTS: word destination + i = word i of data; WEIGHTS wrap
target GELU: table[destination] = data, a code per byte
target RESIDUAL: for tokens t = token, token + 1, ..., each of row_words words of data:
    residual[t % 4][destination + stride * (t / 4 - token / 4)] ... = the token's words
target PIXELS: for image rows y of data, each of segments * segment_bytes bytes, and s in segments:
    tile, lane = divmod(lane_first + s, T)
    W = segment_bytes / D, rounded up
    pixels[lane][destination + stride * tile + W * y] ... = segment s of the row, as W words
""",
    Opcode.MATMUL: """
for r in row_tiles, lane in lane_first ... lane_first + lane_count - 1:
    x = depth_words of activations[lane] from activation_address, signed if act_signed
    w = depth_words of weights: RING row tile by row tile from weight_address, twice if bits8[r];
        KEYS from weight_address + weight_step * r; VALUES at weight_address + r + weight_step * d
    M, S = scales[slot][lane] if token_scale else parameters[parameter_address + r], with a bias
    y = sum(x * w) if SCORES else clip((sum(x * w) + bias) * M >> S, format); gelu: by gelu_table
    g = groups since that of token: R tokens for KEYS, D for VALUES, 4 for RESIDUAL; SCORES 4 lanes
    destination[bank][destination_address + destination_stride * g + r] = y
    # ACTIVATIONS: mask_count granules from mask_first. SCORES: also maxima[slot][lane] over keys.
    # RESIDUAL: y << residual_shift, saturating, if accumulate + what is there; KEPT: see SELECT
""",
    Opcode.NORM: """
for lane in lane_first ... lane_first + lane_count - 1:
    t = token + lane
    r = row_words words of residual[t % 4] from source_address + source_stride * (t / 4 - token / 4)
    e = row_words words of exponents from exponent_address
    y = LayerNorm of r over width channels, with epsilon, gain, shift, exponents e and zero
    activations[lane][destination_address ...] = y clipped to the code, which is signed if signed
""",
    Opcode.SOFTMAX: """
for lane in lane_first ... lane_first + lane_count - 1:
    s = key_words words of scores[lane % 4] from source_address + source_stride * (lane / 4)
    for key < keys: e[key] = 2 ** -((maxima[slot][lane] - s[key]) * multiplier >> shift), dithered
    for other keys: e[key] = 0
    activations[lane][destination_address ...] = e
    # if importance, of the last lane, with w, R and L of docs/numerics.md:
    #     importance[key] = (0 if importance_first else importance[key]) + (w[key] * R >> L + 7)
    scales[slot][lane] = the scale that divides by sum(e): context_multiplier, context_shift
""",
    Opcode.STORE: """
size = 2 if int16 else 4
for w in row_words + more_words:
    t, column = token + w / row_words, w % row_words
    word = residual[t % 4][source_address + row_words * (t / 4 - token / 4) + column]
    for row in R:
        memory[base of the image + offset + size * (R * w + row)] = word[row]
# Whole beats are written: where int16 words end in the midst of one, its rest is undefined.
""",
    Opcode.SELECT: """
stay = the keep keys < patches of the largest importance, of equal ones the lower
for t in stay, then patches ... patches + others - 1, ascending:
    place[t] = how many of these tokens are below t                # place[t] <= t
place[t] = none for all other t < patches
# MATMULs to KEPT write a token's sum where that of token place[t] lies, if any; stride is theirs.
# It completes as it begins: no MATMUL to KEPT, no importance and no SELECT starts until it ended.
""",
    Opcode.END: """
assert checksum == crc32(the program's bytes, this field as 0)
if this is the last image:
    wait until every unit is idle; assert every semaphore is back at BEGIN's operand
    raise the interrupt, if it is enabled
else:
    fetch the program again, for the next image, as soon as fewer than two are in flight
""",
}
"""Loop nests by opcode."""
