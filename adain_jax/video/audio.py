"""The sound of a clip, written beside its stylized frames."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av import AudioResampler, Packet
from av.audio.stream import AudioStream
from av.container import OutputContainer

from adain_jax.video.reader import Clip, opened

Note = Callable[[str], None]


@dataclass(frozen=True)
class _Track:
    """An audio track and its output stream: copied, or re-encoded if there is a resampler."""

    source: AudioStream
    start: Fraction
    stream: AudioStream
    resampler: AudioResampler | None = None

    def write(self, packet: "Packet[Any]", output: OutputContainer) -> None:
        zero = round(self.start / packet.time_base) if packet.time_base else 0
        if packet.pts is not None:
            packet.pts -= zero
        if packet.dts is not None:
            packet.dts -= zero
        if self.resampler:
            for frame in self.source.decode(packet):
                for piece in self.resampler.resample(frame):
                    output.mux(self.stream.encode(piece))
        elif packet.dts is not None:
            packet.stream = self.stream
            output.mux(packet)

    def end(self, output: OutputContainer) -> None:
        if self.resampler:
            for piece in self.resampler.resample(None):
                output.mux(self.stream.encode(piece))
            output.mux(self.stream.encode())


@contextmanager
def sound(
    clip: Clip, output: OutputContainer, path: Path, note: Note
) -> Iterator[Callable[[Fraction | None], None]]:
    """Yields a function that writes the clip's sound up to a given time, or to the end for None.

    Times are in seconds, counted from `clip.start`. The packets of a track are copied if the
    container supports their codec; otherwise the track is re-encoded. Tracks of unknown codecs are
    left out.

    Args:
        clip: the clip whose sound is written.
        output: the open container to write to.
        path: the output's path, for notes.
        note: called with one line of text for every track that is not copied.

    Raises:
        VideoError: the clip's file cannot be read.
    """
    if not clip.audio:
        yield lambda until: None
        return
    with opened(clip.path) as source:
        tracks = {}
        for stream in source.streams.audio:
            if stream.codec_context:
                tracks[stream.index] = _track(stream, clip.start, output, path, note)
            else:
                note(f"{path}: without a track of sound of {clip.path}, its codec is unknown")
        packets = source.demux(*[s for s in source.streams.audio if s.index in tracks])
        waiting = next(packets, None) if tracks else None

        def write(until: Fraction | None) -> None:
            nonlocal waiting
            while waiting is not None:
                dts = waiting.dts
                begun = None if dts is None else dts * waiting.time_base - clip.start
                if until is not None and begun is not None and begun > until:
                    return
                tracks[waiting.stream.index].write(waiting, output)
                waiting = next(packets, None)
            if until is None:
                for track in tracks.values():
                    track.end(output)

        yield write


def _track(
    stream: AudioStream, start: Fraction, output: OutputContainer, path: Path, note: Note
) -> _Track:
    try:
        return _Track(stream, start, output.add_stream_from_template(stream))
    except ValueError:  # the container does not support this codec
        pass
    codec, rate = ("libopus", 48000) if output.format.name == "webm" else ("aac", stream.rate)
    copy = output.add_stream(codec, rate)
    assert isinstance(copy, AudioStream)
    copy.layout = stream.layout
    before = stream.codec_context.codec.canonical_name
    note(f"{path}: sound encoded anew, {before} as {codec.removeprefix('lib')}")
    return _Track(stream, start, copy, AudioResampler(copy.format, copy.layout, rate))
