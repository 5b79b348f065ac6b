"""A server that paints what it is sent, in batches: uvicorn serve:app --app-dir examples.

curl -F content=@photo.jpg -F style=@painting.jpg 'localhost:8000/stylize?alpha=0.8' -o result.jpg

Needs fastapi, uvicorn and python-multipart. Requests wait in a queue; whatever waits when the network
is free becomes one batch, so that nobody waits for others to come, and many at once share programs
and devices. A proxy in front of it should limit the size of uploads.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Response, UploadFile

from adain_jax import Style, Stylizer
from adain_jax.images import PictureError, encode_picture, load_image

MAX_BATCH = 16
MAX_WAITING = 64
MAX_PIXELS = 1 << 22  # of an upload
SIZE = 512  # shorter side in pixels at most: fewer sizes are fewer programs


class Job(NamedTuple):
    """What is to be painted, and where its result is awaited."""

    content: np.ndarray
    style: np.ndarray
    alpha: float
    result: asyncio.Future[np.ndarray]


def paint(stylizer: Stylizer, jobs: list[Job]) -> list[np.ndarray]:
    """The results of one batch."""
    styles: Style = stylizer.encode_style([job.style for job in jobs])
    return stylizer([job.content for job in jobs], styles, [job.alpha for job in jobs])


async def work(stylizer: Stylizer, queue: asyncio.Queue[Job], sizes: list[int]) -> None:
    """Takes all that waits, paints it in a thread, and hands the results out; forever."""
    while True:
        jobs = [await queue.get()]
        while len(jobs) < MAX_BATCH and not queue.empty():
            jobs.append(queue.get_nowait())
        sizes.append(len(jobs))
        try:
            results = await asyncio.to_thread(paint, stylizer, jobs)
        except Exception as error:  # of one batch: the server goes on
            for job in jobs:
                if not job.result.done():
                    job.result.set_exception(error)
            continue
        for job, result in zip(jobs, results, strict=True):
            if not job.result.done():  # it is where the client has gone
                job.result.set_result(result)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Loads the model, and paints until the server stops."""
    stylizer = Stylizer.load()
    app.state.queue = asyncio.Queue(MAX_WAITING)
    app.state.batches = []  # the sizes of all batches
    worker = asyncio.create_task(work(stylizer, app.state.queue, app.state.batches))
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


def read(upload: UploadFile) -> np.ndarray:
    """The pixels of an upload, uint8 (h, w, 3), no larger than need be."""
    name = upload.filename or "picture"
    try:
        image = load_image(upload.file, max_pixels=MAX_PIXELS, name=name)
    except PictureError as error:
        raise HTTPException(422, str(error)) from error
    scale = SIZE / min(image.size)
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size])
    return np.asarray(image)


@app.post("/stylize")
async def stylize(
    content: UploadFile, style: UploadFile, alpha: Annotated[float, Query(ge=0, le=2)] = 1.0
) -> Response:
    """The content in the style, as JPEG."""
    pixels = [await asyncio.to_thread(read, upload) for upload in (content, style)]
    result = asyncio.get_running_loop().create_future()
    try:
        app.state.queue.put_nowait(Job(*pixels, alpha, result))
    except asyncio.QueueFull:
        raise HTTPException(503, "too many are waiting; try again in a moment") from None
    painted = await result
    encoded = await asyncio.to_thread(encode_picture, painted, "JPEG")
    return Response(encoded, media_type="image/jpeg")
