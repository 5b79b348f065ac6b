"""How large the experiments are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of all experiments.

    Attributes:
        steps: of each training run.
        table_steps: of the run with a table of styles, which sees each style in a batch of many.
        batch: pairs per step.
        crop: side in pixels of the training pictures, and of the pairs that curves are measured on.
        resize: shorter side in pixels before the crop.
        points: of each curve, beside its beginning.
        seeds: runs of each variant.
        pairs: that curves are measured on.
        table: number of styles in one network.
        picture: side in pixels of the figures' pictures.
        many: pairs of the losses' histograms.
        sides: in pixels, of the pictures that are timed.
        longest: seconds that one timed picture may take; larger ones are then not measured.
        learning_rate: of every run, constant.
    """

    steps: int
    table_steps: int
    batch: int
    crop: int
    resize: int
    points: int
    seeds: int
    pairs: int
    table: int
    picture: int
    many: int
    sides: tuple[int, ...]
    longest: float
    learning_rate: float = 1e-3


SCALES = {
    "smoke": Scale(
        steps=2,
        table_steps=2,
        batch=4,
        crop=16,
        resize=24,
        points=2,
        seeds=2,
        pairs=2,
        table=3,
        picture=32,
        many=2,
        sides=(32, 48),
        longest=60,
    ),
    "laptop": Scale(
        steps=140,
        table_steps=300,
        batch=4,
        crop=64,
        resize=96,
        points=7,
        seeds=3,
        pairs=8,
        table=32,
        picture=256,
        many=40,
        sides=(256, 512, 1024, 2048),
        longest=20,
    ),
    "gpu": Scale(
        steps=4000,
        table_steps=8000,
        batch=8,
        crop=256,
        resize=288,
        points=20,
        seeds=3,
        pairs=40,
        table=32,
        picture=512,
        many=400,
        sides=(256, 512, 1024, 2048),
        longest=20,
        learning_rate=3e-4,
    ),
}
"""smoke only tries everything; laptop is for two cores; gpu for one large card."""
