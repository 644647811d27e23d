"""Small vision transformers with random weights, written and exported as others do."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@dataclass(frozen=True)
class Style:
    """One way to write the network.

    Parameters
    ----------
    tail : str
        ``decoder``, ``tokens``, ``classes``, or ``early`` (a decoder that reads an early block).
    activation : nn.Module
    fused : bool
        One matrix for Q, K and V.
    registers : int
    softmax : bool
        Without it, sigmoid in its place.
    before : callable, optional
        A layer in front of the blocks, made with the width.
    """

    tail: str = "decoder"
    activation: nn.Module = nn.GELU()  # noqa: RUF009
    fused: bool = False
    registers: int = 0
    softmax: bool = True
    before: Callable[[int], nn.Module] | None = None


class SeparateAttention(nn.Module):
    """Attention as transformers' Dinov2 writes it; with ``fused``, as timm does."""

    def __init__(self, width: int, heads: int, fused: bool, softmax: bool) -> None:
        super().__init__()
        self.heads, self.softmax = heads, softmax
        self.qkv = nn.Linear(width, 3 * width) if fused else None
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        dim = width // self.heads
        if self.qkv is not None:
            q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim).permute(2, 0, 3, 1, 4)
        else:
            k, v, q = (
                layer(x).view(batch, tokens, self.heads, dim).permute(0, 2, 1, 3)
                for layer in (self.key, self.value, self.query)
            )
        if self.softmax:
            context = functional.scaled_dot_product_attention(q, k, v)
        else:
            context = (q @ k.transpose(-1, -2) / dim**0.5).sigmoid() @ v
        return self.dense(context.transpose(1, 2).reshape(batch, tokens, width))


class TinyBlock(nn.Module):
    """A block with layer scaling of either sign."""

    def __init__(self, width: int, heads: int, style: Style) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attention = SeparateAttention(width, heads, style.fused, style.softmax)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.activation = style.activation
        self.lambda1, self.lambda2 = (nn.Parameter(torch.randn(width)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(self.norm1(x)) * self.lambda1 + x
        return self.fc2(self.activation(self.fc1(self.norm2(x)))) * self.lambda2 + x


class TinyDino(nn.Module):
    """Dinov2 in small: 12 x 12 pixels, patches of 4, positions of a 5 x 5 grid, resized."""

    def __init__(self, style: Style, width: int = 24, heads: int = 3) -> None:
        super().__init__()
        self.style = style
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.cls = nn.Parameter(torch.randn(1, 1, width))
        self.registers = nn.Parameter(torch.randn(1, style.registers, width))
        self.position = nn.Parameter(torch.randn(1, 26, width))
        self.before = style.before(width) if style.before else nn.Identity()
        self.blocks = nn.ModuleList(TinyBlock(width, heads, style) for _ in range(2))
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.up, self.bn = nn.ConvTranspose2d(width, 4, 4, 2, 1), nn.BatchNorm2d(4)
        self.final, self.head = nn.Conv2d(4, 1, 1), nn.Linear(width, 7)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)
        for buffer in (self.bn.running_mean, self.bn.running_var):
            if buffer is not None:
                nn.init.uniform_(buffer, 1, 2)

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return the stream in front of the blocks."""
        batch, _, height, width = pixels.shape
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        grid = self.position[:, 1:].reshape(1, 5, 5, -1).permute(0, 3, 1, 2)
        size = (height // 4, width // 4)
        grid = functional.interpolate(grid, size=size, mode="bicubic", align_corners=False)
        grid = grid.permute(0, 2, 3, 1).view(1, -1, x.shape[-1])
        x = torch.cat([self.cls.expand(batch, -1, -1), x], 1)
        x = x + torch.cat([self.position[:, :1], grid], 1)
        if self.style.registers:
            registers = self.registers.expand(batch, -1, -1)
            x = torch.cat([x[:, :1], registers, x[:, 1:]], 1)
        return self.before(x)

    def forward(self, pixels: Tensor) -> Tensor:
        x = early = self.tokens(pixels)
        for block in self.blocks:
            early, x = x, block(x)
        x = self.norm(x)
        if self.style.tail == "tokens":
            return x
        if self.style.tail == "classes":
            return self.head(x[:, 0])
        start = 1 + self.style.registers
        size = (x.shape[0], x.shape[2], pixels.shape[2] // 4, pixels.shape[3] // 4)
        x = (early if self.style.tail == "early" else x)[:, start:].transpose(1, 2).reshape(size)
        x = self.final(functional.relu(self.bn(self.up(x))))
        x = functional.interpolate(x, size=pixels.shape[2:], mode="bilinear", align_corners=False)
        return x.sigmoid()


def export(folder: Path, style: Style = Style()) -> tuple[Path, TinyDino]:
    """Write the ONNX file of a network, as torch's exporter for opset 14 does."""
    path = folder / "tiny.onnx"
    path.write_bytes(exported(style))
    return path, made(style)


def made(style: Style) -> TinyDino:
    """Make a network with the same random weights each time."""
    torch.manual_seed(0)
    return TinyDino(style).eval()


@cache
def exported(style: Style) -> bytes:
    """Return a network's ONNX file."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made(style),
            (torch.zeros(1, 3, 12, 12),),
            file,  # pyright: ignore[reportArgumentType]: its types forget what it takes
            opset_version=14,
            dynamo=False,
            input_names=["image"],
            output_names=["output"],
            dynamic_axes={"image": {0: "batch"}, "output": {0: "batch"}},
        )
    return file.getvalue()


def pixels(batch: int = 2) -> Tensor:
    """Return random images, (batch, 12, 12, 3) uint8."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 12, 12, 3), generator=generator, dtype=torch.uint8)


def normalised(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return images as the source network takes them, (batch, 3, height, width)."""
    mean, std = torch.tensor(MEAN, dtype=dtype), torch.tensor(STD, dtype=dtype)
    return ((images.to(dtype) / 255 - mean) / std).permute(0, 3, 1, 2)
