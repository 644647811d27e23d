"""A vision transformer out of an ONNX file, in the canonical form."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from nas.importer import pixels
from nas.importer.known import KNOWN, KnownFile
from nas.importer.network import FloatNetwork
from nas.importer.onnx_blocks import read_blocks, read_final_norm, read_front, read_stem
from nas.importer.onnx_graph import OnnxGraph, read_graph
from nas.importer.onnx_host import read_classifier, read_host
from nas.importer.options import ImportOptions
from nas.importer.resample import at_size
from rtl.model import Preprocessing


def load_onnx(path: Path, options: ImportOptions) -> FloatNetwork:
    """Read a network: its blocks by what they compute, the rest as a host network.

    Transformers that resize their positions are taken at the file's image size, and resampled
    where another one is asked for. A classifier on
    the class token becomes the network's own. Whatever else is behind the final LayerNorm becomes
    ``host``, an ONNX file whose input is all tokens in the engine's order; it is left out where
    the options ask for features of fewer.

    Raises
    ------
    UserError
        If the file cannot be read; if a node is unsupported, with its path in the graph; or if
        mean and std are not known.
    """
    options.refuse_for(path.name, "checkpoint", "classes")
    graph = read_graph(path, options.image_size)
    stem, stream = read_stem(graph)
    front, stream = read_front(graph, stream)
    blocks, stream = read_blocks(graph, stream)
    norm, tokens = read_final_norm(graph, stream)
    head = read_classifier(graph, tokens, stem.order)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = KNOWN.get(sha256)
    _, channels, height, width = graph.shapes[graph.image]
    stated = (known.mean, known.std) if known else None
    mean, std = pixels.statistics(path.name, options, stated, channels)
    others = len(stem.order) - stem.patches
    pool = "token" if head else options.pool or "all"
    network = FloatNetwork(
        image=(height, width, channels),
        patch=stem.patch,
        head_dim=len(blocks[0].q.bias) // blocks[0].heads,
        mean=mean,
        std=std,
        embed=stem.embed,
        position=stem.position,
        blocks=tuple(blocks),
        norm=norm,
        head=head,
        pool=pool,
        class_token=others > 0,
        registers=max(others - 1, 0),
        preprocessing=_preprocessing(known, (height, width), channels),
        class_names=options.names(),
        host=read_host(graph, tokens, stem.order) if pool == "all" else None,
        source=_source(path, sha256, known, norm.epsilon, stem.order, graph),
        front=front,
    )
    size = options.image_size
    return network if size is None or (height, width) == (size, size) else at_size(network, size)


def _preprocessing(known: KnownFile | None, crop: tuple[int, int], channels: int) -> Preprocessing:
    """Return the file's steps where they are known; else a resize of the shorter side, a crop."""
    if known and known.preprocessing.crop == crop:
        return known.preprocessing
    mode = "RGB" if channels == 3 else "L"
    return Preprocessing(crop, mode, max(crop), "bicubic", margin="even")


def _source(
    path: Path,
    sha256: str,
    known: KnownFile | None,
    epsilon: float,
    order: np.ndarray,
    graph: OnnxGraph,
) -> dict[str, Any]:
    """Return what there is to report about a file."""
    producer = f"{graph.model.producer_name} {graph.model.producer_version}".strip()
    facts = {
        "name": known.name if known else path.stem,
        "file": path.name,
        "sha256": sha256,
        "epsilon": epsilon,
        "producer": producer,
        "opset": max(each.version for each in graph.model.opset_import if not each.domain),
        "outputs": list(graph.outputs),
    }
    for entry in graph.model.metadata_props:
        if entry.key.lower() in ("license", "licence"):
            facts["license"] = entry.value
    if known:
        facts |= {"license": known.license, "origin": known.origin, "preprocessing": known.note}
    return facts
