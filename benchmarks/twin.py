"""The paper's network in PyTorch, with the channels-last layout: the baseline of the benchmarks."""

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
    """Encoder and decoder with random weights, on the GPU where there is one."""

    def __init__(self, dtype: str) -> None:
        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = getattr(torch, dtype)
        self.encoder = self._place(build(ENCODER))
        self.decoder = self._place(build(DECODER)[:-1])  # no ReLU at the end
        self._stylize = self._transfer
        if self.device.type == "cuda" and dtype == "bfloat16":
            self._stylize = torch.compile(self._transfer)
            self.encoder = torch.compile(self.encoder)

    def _place(self, module: nn.Module) -> nn.Module:
        module = module.to(self.device, self.dtype, memory_format=torch.channels_last)
        return module.eval()

    def _moved(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.to(self.device, self.dtype, memory_format=torch.channels_last)

    def _transfer(
        self, contents: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
    ) -> torch.Tensor:
        features = self.encoder(contents)
        own_mean, own_std = moments(features.float())
        normalized = (features.float() - own_mean) / own_std * std + mean
        return self.decoder(normalized.to(self.dtype)).float().clamp(0, 1)

    @torch.inference_mode()
    def encode_style(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return moments(self.encoder(self._moved(picture)).float())

    @torch.inference_mode()
    def stylize(
        self, contents: torch.Tensor, style: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        return self._stylize(self._moved(contents), *style).cpu()


def runners(batch: int, side: int, dtype: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Two functions: one encodes a style and stylizes, the other stylizes with a known style."""
    twin = Twin(dtype)
    contents = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last)
    picture = torch.rand(1, 3, side, side).to(memory_format=torch.channels_last)
    style = twin.encode_style(picture)
    return (
        lambda: twin.stylize(contents, twin.encode_style(picture)),
        lambda: twin.stylize(contents, style),
    )
