"""Names of models as people have them, and timm's own; families that are no plain ViTs."""

import difflib
import re
from functools import cache

import timm
from timm.models import model_entrypoint

from rtl.errors import UserError

SHORT = "_patch16_224"  # what a short name such as deit_small leaves out
PREFIX = re.compile(r"(https?://huggingface\.co/|hf[_-]hub:|timm:)", re.IGNORECASE)
ELSEWHERE = (
    (r"dinov2_with_registers_(\w+)", r"vit_\1_patch14_reg4_dinov2"),
    (r"dinov2_(small|base|large|giant)(_imagenet1k_1_layer)?", r"vit_\1_patch14_dinov2"),
    (r"dino_vits(\d+)", r"vit_small_patch\1_224.dino"),
    (r"dino_vitb(\d+)", r"vit_base_patch\1_224.dino"),
    (r"dinov3_vit(\w+?)(\d+)_.*", r"vit_\1_patch\2_dinov3"),
    (r"clip_vit_(\w+)_patch(\d+)", r"vit_\1_patch\2_clip_224"),
    (r"clip_vit_(\w+)_patch(\d+)_336", r"vit_\1_patch\2_clip_336"),
    (r"siglip2?_(\w+)_patch(\d+)_(\d+)", r"vit_\1_patch\2_siglip_\3"),
    (r"vit_([slb])_(\d+)", r"vit_\1_patch\2_224"),
    (r"vit_h_14", "vit_huge_patch14_224"),
    (r"mobilevit_small", "mobilevit_s"),
    (r"swinv2_(\w+)_patch4_(\w+)", r"swinv2_\1_\2"),
    (r"vit_mae_base", "vit_base_patch16_224.mae"),
    (r"vit_mae_large", "vit_large_patch16_224.mae"),
    (r"vit_mae_huge", "vit_huge_patch14_224.mae"),
    (r"(vit_.*|beit_.*)_in21k", r"\1"),
    (r"(deit_\w+)_distilled_(patch\w+)", r"\1_distilled_\2"),
    (r"(beit_.*)_pt22k(_ft22k)?", r"\1"),
)
"""Names of the hub, in small letters with underscores, and timm's for the same architecture."""
SIZES = {"s": "small", "b": "base", "l": "large"}

PLAIN = ("vision_transformer", "deit")
"""timm's modules whose models are plain, but for parts that are looked for in each."""
LOOKED_INTO = (*PLAIN, "vision_transformer_hybrid", "vision_transformer_relpos", "eva")

WINDOWS = "windowed attention"
CONVOLUTIONS = "convolutions beside the patch embedding"
REDUCED = "tokens that become fewer from block to block"
NO_ATTENTION = "no attention"
REASONS = {
    "beit": "relative position bias",
    "cait": "attention of classes apart from that of patches, and talking heads",
    "coat": CONVOLUTIONS,
    "convit": "attention with gated positions",
    "convmixer": NO_ATTENTION,
    "crossvit": "two branches with patches of two sizes",
    "davit": f"{WINDOWS}, attention between channels",
    "edgenext": CONVOLUTIONS,
    "efficientformer": CONVOLUTIONS,
    "efficientformer_v2": CONVOLUTIONS,
    "efficientvit_mit": CONVOLUTIONS,
    "efficientvit_msra": CONVOLUTIONS,
    "fastvit": CONVOLUTIONS,
    "focalnet": NO_ATTENTION,
    "gcvit": WINDOWS,
    "hiera": f"{WINDOWS}, {REDUCED}",
    "hieradet_sam2": f"{WINDOWS}, {REDUCED}",
    "iformer": CONVOLUTIONS,
    "levit": f"{CONVOLUTIONS}, relative position bias, {REDUCED}",
    "mambaout": NO_ATTENTION,
    "maxxvit": f"{CONVOLUTIONS}, {WINDOWS}",
    "metaformer": CONVOLUTIONS,
    "mlp_mixer": NO_ATTENTION,
    "mobilevit": CONVOLUTIONS,
    "mvitv2": f"pooled attention, {REDUCED}",
    "naflexvit": "a number of tokens that is not fixed",
    "nest": f"{WINDOWS}, {REDUCED}",
    "nextvit": CONVOLUTIONS,
    "pit": REDUCED,
    "pvt_v2": f"attention to fewer tokens, {REDUCED}",
    "repvit": CONVOLUTIONS,
    "sequencer": NO_ATTENTION,
    "shvit": CONVOLUTIONS,
    "swiftformer": CONVOLUTIONS,
    "swin_transformer": WINDOWS,
    "swin_transformer_v2": f"{WINDOWS}, norms behind the branches",
    "swin_transformer_v2_cr": f"{WINDOWS}, norms behind the branches",
    "tiny_vit": f"{CONVOLUTIONS}, {WINDOWS}",
    "tnt": "transformers inside of patches",
    "twins": f"{WINDOWS}, {REDUCED}",
    "visformer": CONVOLUTIONS,
    "vision_transformer_sam": f"{WINDOWS}, relative position bias",
    "vitamin": CONVOLUTIONS,
    "volo": "outlook attention",
    "xcit": "attention between channels, talking heads",
}
"""Reasons of refusal by timm's module, as docs/quasar-vit.md has them. Others are no ViTs."""


@cache
def full_name(name: str) -> str:
    """Return timm's own name of a model, such as ``deit_small_patch16_224`` of ``deit_small``.

    Capitals do not matter, prefixes such as ``timm/`` or ``hf_hub:`` neither; names of the hub for
    the same architectures, such as ``google/vit-base-patch16-224``, are known.

    Raises
    ------
    UserError
        If timm has none of that name, or what it has is no plain vision transformer: says why.
    """
    names = _names()
    for known in _candidates(name):
        if known in names:
            _refuse_family(known)
            return known
    plain = [known.removesuffix(SHORT) for known in names if _module(known) in PLAIN]
    plain = [known for known in plain if "." not in known]
    close = difflib.get_close_matches(_candidates(name)[0], plain, n=3)
    hint = f"{', '.join(close)}?" if close else "python -c 'import timm; print(timm.list_models())'"
    raise UserError(f"unknown model {name!r}: no file, and none of timm's: {hint}")


@cache
def _names() -> frozenset[str]:
    """Return timm's names, without and with tags such as ``.augreg_in21k``."""
    return frozenset(timm.list_models()) | frozenset(timm.list_models(pretrained=True))


def _candidates(name: str) -> list[str]:
    """Return what a name may be called in timm; most likely first."""
    joined = re.sub(
        r"(?i)(vit-[a-z])/(\d+)$", r"\1-\2", PREFIX.sub("", name).strip("/")
    )  # ViT-B/16
    last = joined.rpartition("/")[2].lower().replace("-", "_")
    found = [last, last + SHORT]
    for pattern, timms in ELSEWHERE:
        if match := re.fullmatch(pattern, last):
            known = match.expand(timms)
            found.append(re.sub(r"^vit_([sbl])_", lambda m: f"vit_{SIZES[m[1]]}_", known))
    return found


def _module(name: str) -> str:
    """Return the last part of the module that builds a model of timm's."""
    return model_entrypoint(name.partition(".")[0]).__module__.rpartition(".")[2]


def _refuse_family(name: str) -> None:
    """Raise ``UserError`` for a model of a family that none of the engine's networks is of."""
    module = _module(name)
    if module in LOOKED_INTO:
        return
    if module in REASONS:
        raise UserError(f"timm model '{name}' has what the engine has not: {REASONS[module]}")
    raise UserError(
        f"timm model '{name}' is no plain vision transformer: docs/quasar-vit.md says what runs"
    )
