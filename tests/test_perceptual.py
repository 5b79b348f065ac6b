"""LPIPS and ArtFID through their own packages, with random weights of the right shapes.

The packages' own weights cannot be had everywhere: this tests what we hand over and what we make of the
answer, not the numbers that a trained network gives.
"""

import sys

import numpy as np
import pytest

from adain_jax.perceptual import LPIPS, ArtFID, PerceptualError

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages
rng = np.random.default_rng(0)


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """The packages, with networks that are random and always the same."""
    torch = pytest.importorskip("torch", reason="LPIPS and ArtFID need PyTorch")
    lpips = pytest.importorskip("lpips")
    package = pytest.importorskip("art_fid.art_fid")
    torch.manual_seed(0)
    distance = lpips.LPIPS(net="alex", pnet_rand=True, pretrained=False, verbose=False)
    inception = package.inception.Inception3()
    for layer in inception.modules():  # its own random weights let activations explode
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    monkeypatch.setattr(lpips, "LPIPS", lambda net: distance)
    monkeypatch.setattr(package.utils, "download", lambda url: tmp_path / "inception.pth")
    torch.save(inception.state_dict(), tmp_path / "inception.pth")
    return torch, distance, inception.eval()


def pictures(count=3):
    """Of whole levels, so that files keep them."""
    return rng.integers(0, 256, (count, 80, 80, 3)).astype(np.float32) / np.float32(255)


def tensor(torch, pictures):
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())


def test_art_fid_is_that_of_its_definition(networks):
    torch, distance, inception = networks
    contents, styles, results = (pictures() for _ in range(3))
    with torch.no_grad():
        apart = distance(*(2 * tensor(torch, x) - 1 for x in (results, contents))).flatten().numpy()
        features = [
            inception(tensor(torch, x), return_features=True).numpy().astype(np.float64)
            for x in (results, styles)
        ]
    ours = [LPIPS()(content, result) for content, result in zip(contents, results, strict=True)]
    np.testing.assert_allclose(ours, apart, rtol=1e-4)
    assert LPIPS()(contents[0], contents[0]) == 0
    means = [x.mean(0) for x in features]
    a, b = ((x - mean) / np.sqrt(len(x) - 1) for x, mean in zip(features, means, strict=True))
    # tr (A'A B'B)^(1/2) is the sum of the singular values of AB'.
    cross = np.linalg.norm(a @ b.T, "nuc")
    fid = np.square(means[0] - means[1]).sum() + np.square(a).sum() + np.square(b).sum() - 2 * cross
    with ArtFID() as art_fid:
        for three in zip(contents, styles, results, strict=True):
            art_fid.add(*three)
        assert art_fid.value() == pytest.approx((1 + apart.mean()) * (1 + fid), rel=1e-3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("art_fid", "art_fid.art_fid"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PerceptualError, match="--lpips needs the package torch"):
        LPIPS()
    with pytest.raises(PerceptualError, match="--art-fid needs the package art_fid"):
        ArtFID()


def test_weights_that_cannot_be_fetched_are_said_in_one_line(networks, monkeypatch):
    def refuse(url):
        raise OSError("no route\nto the host")

    import art_fid.art_fid

    monkeypatch.setattr(art_fid.art_fid.utils, "download", refuse)
    with ArtFID() as measure:
        for _ in range(2):
            measure.add(*pictures())
        with pytest.raises(
            PerceptualError, match=r"ArtFID cannot be measured \(OSError: no route to"
        ):
            measure.value()
