"""The same network in PyTorch, float32, channels last: what the project is measured against."""

from collections.abc import Callable

import torch
from torch import nn

ENCODER = "3-64 64-64 P 64-128 128-128 P 128-256 256-256 256-256 256-256 P 256-512"
DECODER = "512-256 U 256-256 256-256 256-256 256-128 U 128-128 128-64 U 64-64 64-3"


def build(layers: str) -> nn.Sequential:
    modules: list[nn.Module] = []
    for word in layers.split():
        if word == "P":
            modules.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        elif word == "U":
            modules.append(nn.Upsample(scale_factor=2, mode="nearest"))
        else:
            c_in, c_out = map(int, word.split("-"))
            modules += [nn.ReflectionPad2d(1), nn.Conv2d(c_in, c_out, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel."""
    variance = x.var((2, 3), keepdim=True, unbiased=False)
    return x.mean((2, 3), keepdim=True), (variance + 1e-5).sqrt()


class Twin:
    """Encoder and decoder with random weights."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.encoder = build(ENCODER).to(memory_format=torch.channels_last).eval()
        decoder = build(DECODER)[:-1]  # no ReLU at the end
        self.decoder = decoder.to(memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def encode_style(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return moments(self.encoder(picture))

    @torch.inference_mode()
    def stylise(
        self, contents: torch.Tensor, style: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        features = self.encoder(contents)
        mean, std = moments(features)
        return self.decoder((features - mean) / std * style[1] + style[0])


def runners(batch: int, side: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Functions that encode a style and stylise, and that stylise with a known style."""
    twin = Twin()
    contents = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last)
    picture = torch.rand(1, 3, side, side).to(memory_format=torch.channels_last)
    style = twin.encode_style(picture)
    return (
        lambda: twin.stylise(contents, twin.encode_style(picture)),
        lambda: twin.stylise(contents, style),
    )
