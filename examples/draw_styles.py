"""Draws the example style pictures: `python examples/draw_styles.py [FOLDER]`.

Each is 512 x 512, painted at twice that size by NumPy and Pillow alone, always the same. AdaIN takes a
style as channel statistics of VGG features, so what counts is texture, stroke and palette.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 512
BIG = 2 * SIDE  # painted size: shrinking it smooths the edges

Y, X = np.mgrid[0 : 1 : BIG * 1j, 0 : 1 : BIG * 1j]


def noise(rng: np.random.Generator, cells: int, octaves: int = 4, stretch: float = 1) -> np.ndarray:
    """Fractal noise in [0, 1], (BIG, BIG), its coarsest features 1 / cells wide."""
    total = np.zeros((BIG, BIG))
    for octave in range(octaves):
        size = (max(2, int(cells * 2**octave * stretch)), cells * 2**octave)
        small = Image.fromarray(rng.random(size).astype(np.float32))
        total += np.asarray(small.resize((BIG, BIG), Image.Resampling.BICUBIC)) / 2**octave
    low, high = np.percentile(total, [0.5, 99.5])
    return np.clip((total - low) / (high - low), 0, 1)


def palette(values: np.ndarray, *colors: str) -> np.ndarray:
    """Colors, given as hex, along values in [0, 1]: float (..., 3) in [0, 255]."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in colors], float)
    at = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(values, at, stops[:, i]) for i in range(3)], -1)


def to_image(pixels: np.ndarray) -> Image.Image:
    """Float (h, w, 3) in [0, 255] as a picture."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def relief(image: Image.Image, strength: float) -> np.ndarray:
    """Light from the upper left on paint as thick as it is bright."""
    pixels = np.asarray(image, float)
    height = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(1.2)), float)
    slope = np.gradient(height, axis=0) + np.gradient(height, axis=1)
    return pixels - strength * slope[..., None]


def canvas_grain(rng: np.random.Generator, pixels: np.ndarray, strength: float) -> np.ndarray:
    """The weave of a canvas showing through the paint."""
    weave = np.sin(X * BIG * 0.9) + np.sin(Y * BIG * 0.9)
    return pixels + strength * (weave + rng.normal(0, 1, (BIG, BIG)))[..., None]


def paint_strokes(
    rng: np.random.Generator,
    base: np.ndarray,
    angle: np.ndarray,
    layers: list[tuple[int, float, float]],
    jitter: float,
    tint: float,
) -> Image.Image:
    """Layers of (number, length, width) bristly strokes that follow `angle`, colored from `base`.

    Their lightness varies by `jitter`, their color by `tint`.
    """
    image = to_image(base)
    draw = ImageDraw.Draw(image)
    for number, length, width in layers:
        bristles = max(3, int(width / 2.5))
        for _ in range(number):
            x, y = rng.uniform(0, BIG, 2)
            color = base[int(y), int(x)] + rng.normal(0, tint, 3) + rng.normal(0, jitter)
            points = [(x, y)]
            for _ in range(8):
                i, j = (int(np.clip(v, 0, BIG - 1)) for v in (y, x))
                x += np.cos(angle[i, j]) * length / 8
                y += np.sin(angle[i, j]) * length / 8
                points.append((x, y))
            i, j = (int(np.clip(v, 0, BIG - 1)) for v in points[0][::-1])
            normal = np.array([-np.sin(angle[i, j]), np.cos(angle[i, j])])
            for offset in np.linspace(-width / 2, width / 2, bristles):
                shade = tuple(int(v) for v in np.clip(color + rng.normal(0, jitter * 0.8), 0, 255))
                first = rng.integers(0, 2)
                line = [(px + normal[0] * offset, py + normal[1] * offset) for px, py in points]
                draw.line(line[first : len(line) - rng.integers(0, 3)], fill=shade, width=3)
    return image


def swirls(rng: np.random.Generator) -> np.ndarray:
    """A night sky in thick, swirling strokes of blue and yellow."""
    angle = 0.5 * np.sin(3 * X) + 0.6 * (noise(rng, 3) - 0.5)
    glow = np.zeros((BIG, BIG))
    for _ in range(9):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 0.75), rng.uniform(0.05, 0.16)
        distance = np.hypot(X - cx, Y - cy)
        weight = np.exp(-((distance / (1.6 * radius)) ** 2))
        around = np.arctan2(Y - cy, X - cx) + np.pi / 2
        angle = np.arctan2(
            (1 - weight) * np.sin(angle) + 3 * weight * np.sin(around),
            (1 - weight) * np.cos(angle) + 3 * weight * np.cos(around),
        )
        rings = 0.6 + 0.4 * np.cos(distance / radius * 9)
        glow = np.maximum(glow, np.exp(-((distance / radius) ** 2)) * rings)
    sky = palette(noise(rng, 5), "0b1d4f", "1d4a9a", "3f7fc4", "8fb8d8")
    hills = np.clip((Y - 0.78 - 0.06 * np.sin(7 * X)) * 9, 0, 1)[..., None]
    ground = palette(noise(rng, 9), "0a1a2b", "17413c", "3c6a4a")
    base = sky + glow[..., None] * (palette(glow, "6fa0c8", "e9d25a", "fff3b0") - sky)
    base = base + hills * (ground - base)
    image = paint_strokes(rng, base, angle, [(1500, 70, 22), (3200, 48, 14), (3500, 30, 9)], 16, 16)
    return canvas_grain(rng, relief(image, 2.2), 2.5)


def points(rng: np.random.Generator) -> np.ndarray:
    """A shore in dots of pure color."""
    light = np.clip(1.1 - Y + 0.3 * (noise(rng, 4) - 0.5), 0, 1)
    base = palette(light, "3a5a2a", "7fa03a", "d9c860", "f0b070", "9ac0e0", "5a8ad0")
    trees = np.clip((noise(rng, 6) - 0.62) * 6, 0, 1)[..., None] * (Y > 0.35)[..., None]
    base = base + trees * (palette(noise(rng, 12), "1d3a5a", "2f6a3a", "6a2f5a") - base)
    image = to_image(np.full((BIG, BIG, 3), (236, 226, 204)))
    draw = ImageDraw.Draw(image)
    for _ in range(26000):
        x, y = rng.uniform(0, BIG, 2)
        color = base[int(y), int(x)]
        if rng.random() < 0.3:  # a complementary neighbor makes both shine
            color = 255 - color + rng.normal(0, 20, 3)
        else:
            color = color + rng.normal(0, 34, 3)
        radius = rng.uniform(4, 8.5)
        shade = tuple(int(v) for v in np.clip(color, 0, 255))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)
    return relief(image, 1.0)


def woodcut(rng: np.random.Generator) -> np.ndarray:
    """Black lines cut along the forms, on cream paper."""
    form = noise(rng, 3, 3)
    angle = 5 * form + 1.5 * X
    phase = (X * np.cos(angle) + Y * np.sin(angle)) * 150 + 14 * noise(rng, 6)
    tone = noise(rng, 4, 3)
    lines = np.sin(phase) + 0.25 * (noise(rng, 90, 2, 0.3) - 0.5)
    ink = lines > 2.1 * tone - 1.05
    ink |= np.abs(form - 0.5) < 0.012
    ink |= np.abs(tone - 0.42) < 0.008
    ink &= rng.random((BIG, BIG)) > 0.02
    paper = palette(noise(rng, 40), "e3d3ae", "efe3c4", "f6eed8")
    mottled = palette(noise(rng, 60), "14110f", "2a231f")
    return np.where(ink[..., None], mottled, paper)


def cells(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voronoi cells: which one, the distance to its border, and the centers (y, x)."""
    centers = rng.random((number, 2))
    nearest = np.zeros((BIG, BIG), int)
    first = np.full((BIG, BIG), np.inf)
    second = np.full((BIG, BIG), np.inf)
    for i, (cy, cx) in enumerate(centers):
        distance = np.hypot(Y - cy, X - cx)
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        nearest = np.where(closer, i, nearest)
        first = np.where(closer, distance, first)
    return nearest, second - first, centers


def stained_glass(rng: np.random.Generator) -> np.ndarray:
    """Glowing panes between lines of lead."""
    which, border, centers = cells(rng, 130)
    hue = np.hypot(centers[:, 0] - 0.45, centers[:, 1] - 0.5) * 1.5 + rng.normal(0, 0.12, 130)
    panes = palette(
        np.clip(hue, 0, 1), "fff0a0", "f2a516", "d13a1e", "8a1450", "2b2a8c", "0f6ab0", "12906a"
    )
    glass = panes[which] * (0.55 + 0.75 * noise(rng, 14)[..., None])
    streaks = noise(rng, 30, 3, 0.2)[..., None]
    glass = glass + 60 * (streaks - 0.5) + 70 * np.clip(border * 18, 0, 1)[..., None] - 35
    lead = np.clip(1.6 - border * 170, 0, 1)[..., None]
    metal = palette(noise(rng, 70), "101014", "3a3a40")
    return glass + lead * (metal - glass)


def mosaic(rng: np.random.Generator) -> np.ndarray:
    """Small stones set in rows along curves."""
    form = noise(rng, 2, 2)
    base = palette(form, "16324f", "1f6f78", "c8b27a", "b5502e", "7a1f2b", "e8dcc0")
    gy, gx = np.gradient(form)
    along = np.arctan2(gy, gx) + np.pi / 2
    image = to_image(np.full((BIG, BIG, 3), (58, 50, 44)))
    draw = ImageDraw.Draw(image)
    taken = np.zeros((BIG // 4, BIG // 4), bool)
    size = 9.5
    for _ in range(60000):
        x, y = rng.uniform(0, BIG - 1, 2)
        i, j = int(y) // 4, int(x) // 4
        if taken[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3].any():
            continue
        taken[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2] = True
        angle = along[int(y), int(x)] + rng.normal(0, 0.08)
        c, s = np.cos(angle) * size, np.sin(angle) * size
        color = np.clip(base[int(y), int(x)] + rng.normal(0, 22, 3) + rng.normal(0, 14), 0, 255)
        corners = [(x + c - s, y + s + c), (x - c - s, y - s + c)]
        corners += [(x - c + s, y - s - c), (x + c + s, y + s - c)]
        draw.polygon(corners, fill=tuple(int(v) for v in color), outline=(40, 34, 30), width=3)
    return relief(image, 1.5) + rng.normal(0, 5, (BIG, BIG, 1))


def watercolour(rng: np.random.Generator) -> np.ndarray:
    """Transparent washes with dark edges on rough paper."""
    paper_height = noise(rng, 160, 2)
    light = np.ones((BIG, BIG, 3))
    for i in range(15):
        field = noise(rng, int(rng.integers(2, 5)), 5)
        shape = np.clip((field - rng.uniform(0.62, 0.82)) * 22, 0, 1)
        edge = shape * (1 - shape) * 4
        pigment = palette(
            np.array((i * 0.37) % 1), "1f62b0", "2f9f8a", "f0b828", "e0502a", "8a3a90"
        )
        granules = 0.7 + 0.6 * (paper_height - 0.5)
        density = (0.35 * shape + 0.35 * edge) * granules * rng.uniform(0.5, 1.2)
        light *= np.exp(-density[..., None] * (1 - pigment / 255) * 2.4)
    paper = 250 + 14 * (paper_height - 0.5)[..., None] * np.array([1, 1, 1.1])
    return light * paper


def marbling(rng: np.random.Generator) -> np.ndarray:
    """Combed inks floating on water."""
    a, b = noise(rng, 2, 3), noise(rng, 3, 3)
    u = X + 0.5 * (a - 0.5) + 0.03 * np.sin(40 * Y)
    v = Y + 0.5 * (b - 0.5) + 0.03 * np.sin(34 * X)
    bands = np.sin(18 * u + 6 * np.sin(5 * v + 4 * a)) * 0.5 + 0.5
    base = palette(bands, "0f2a3f", "156064", "e6c15a", "f4ead0", "b3262e", "4a0f26", "f4ead0")
    veins = np.abs(np.sin(30 * (u + v) + 8 * b)) < 0.08
    base = np.where(veins[..., None], palette(a, "fff8e0", "e2b13c"), base)
    return base + rng.normal(0, 6, (BIG, BIG, 1))


def charcoal(rng: np.random.Generator) -> np.ndarray:
    """Broad strokes of charcoal, rubbed and drawn over, on gray paper."""
    tone = noise(rng, 3, 4)
    base = palette(tone, "1c1b1a", "4a4845", "a8a49c", "dcd8cf")
    angle = 0.8 + 2.2 * (noise(rng, 2, 2) - 0.5)
    image = paint_strokes(rng, base, angle, [(900, 130, 26), (2200, 90, 8), (1500, 60, 3)], 26, 1)
    rubbed = np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float)
    grain = noise(rng, 220, 2)[..., None]
    pixels = 0.6 * np.asarray(image, float) + 0.4 * rubbed
    return np.where(grain > 0.55, pixels + 38, pixels - 12) + rng.normal(0, 7, (BIG, BIG, 1))


def geometry(rng: np.random.Generator) -> np.ndarray:
    """Circles, arcs and lines of flat color over a washed ground."""
    ground = palette(noise(rng, 3), "e9dcc0", "d8c9a8", "cbd3c8", "ecd6c2")
    image = to_image(ground)
    draw = ImageDraw.Draw(image, "RGBA")
    colors = ["d62f26", "f0b323", "1e4fa3", "12100e", "2e8a6a", "e77f2b", "7b3f8c", "f4efe2"]
    rgb = [tuple(int(c[i : i + 2], 16) for i in (0, 2, 4)) for c in colors]
    for _ in range(90):
        x, y = rng.uniform(-50, BIG + 50, 2)
        radius = rng.exponential(60) + 12
        color = (*rgb[rng.integers(len(rgb))], int(rng.integers(120, 255)))
        box = (x - radius, y - radius, x + radius, y + radius)
        kind = rng.integers(4)
        if kind == 0:
            for i, shrink in enumerate(np.linspace(1, 0.25, 4)):
                r = radius * shrink
                ring = (*rgb[(rng.integers(len(rgb)) + i) % len(rgb)], 220)
                draw.ellipse((x - r, y - r, x + r, y + r), fill=ring, outline=(18, 16, 14, 255))
        elif kind == 1:
            start = rng.uniform(0, 360)
            draw.arc(
                box, start, start + rng.uniform(60, 250), fill=color, width=int(rng.integers(4, 16))
            )
        elif kind == 2:
            turn = rng.uniform(0, 2 * np.pi)
            triangle = [
                (x + 1.3 * radius * np.cos(turn + t), y + 1.3 * radius * np.sin(turn + t))
                for t in (0, rng.uniform(1.5, 2.4), rng.uniform(3.6, 4.6))
            ]
            draw.polygon(triangle, fill=color, outline=(18, 16, 14, 255))
        else:
            dx, dy = rng.normal(0, 260, 2)
            draw.line(
                (x, y, x + dx, y + dy), fill=(18, 16, 14, 255), width=int(rng.integers(3, 11))
            )
    for _ in range(14):
        x, y = rng.uniform(0, BIG, 2)
        step, turn = rng.uniform(10, 22), rng.uniform(0, np.pi)
        shift = np.array([np.cos(turn), np.sin(turn)])
        across = np.array([-shift[1], shift[0]]) * rng.uniform(40, 130)
        for i in range(int(rng.integers(4, 9))):
            start = np.array([x, y]) + shift * step * i
            draw.line((*start, *(start + across)), fill=(18, 16, 14, 255), width=4)
    return canvas_grain(rng, np.asarray(image, float) + 26 * (noise(rng, 60) - 0.5)[..., None], 4)


def waves(rng: np.random.Generator) -> np.ndarray:
    """Rows of overlapping fans, printed in indigo, foam on top."""
    radius = BIG / 9
    distance = np.full((BIG, BIG), np.inf)
    ys, xs = Y * BIG + 16 * (noise(rng, 3) - 0.5), X * BIG + 16 * (noise(rng, 3) - 0.5)
    for row in range(24):  # lower rows lie in front
        cy = row * radius / 2
        shift = radius if row % 2 else 0
        dx = (xs - shift + radius) % (2 * radius) - radius
        inside = np.hypot(dx, ys - cy) < radius
        distance = np.where(inside, np.hypot(dx, ys - cy) / radius, distance)
    rings = np.abs((np.clip(distance, 0, 1) * 5.5) % 1 - 0.5) * 2
    ink = np.clip((rings - 0.42) * 12, 0, 1)[..., None]
    deep = palette(
        np.clip(Y + 0.5 * (noise(rng, 5) - 0.5), 0, 1), "9cc3cf", "4f86a8", "1f4e86", "122a5c"
    )
    paper = palette(noise(rng, 80), "e9e2cb", "f5f0df")
    pixels = paper + ink * (deep - paper)
    foam = np.clip((noise(rng, 7, 6) - 0.66) * 12, 0, 1)[..., None]
    pixels = pixels + foam * (paper + 6 - pixels)
    wood = np.sin(X * 500 + 20 * noise(rng, 3))[..., None]
    return pixels + 5 * wood + rng.normal(0, 4, (BIG, BIG, 1))


STYLES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    function.__name__: function
    for function in (
        *(swirls, points, woodcut, stained_glass, mosaic),
        *(watercolour, marbling, charcoal, geometry, waves),
    )
}


def draw(name: str) -> Image.Image:
    """The style picture of this name."""
    pixels = STYLES[name](np.random.default_rng(2017))
    return to_image(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "style"
    for name in STYLES:
        draw(name).save(folder / f"{name}.jpg", quality=90)
        print(folder / f"{name}.jpg")
