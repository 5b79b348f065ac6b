"""The sound of a clip, written beside its stylized frames."""

from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

from av import AudioFrame, AudioResampler, FFmpegError, Packet
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import InvalidDataError

from adain_jax.video.reader import Clip, opened
from adain_jax.video.timeline import Clock

Note = Callable[[str], None]

_SHORTEST = Fraction(1, 1000)  # seconds; some containers count in milliseconds


@dataclass(frozen=True)
class _Piece:
    """A packet of sound, decoded unless it is copied, and the time at which it begins, if known."""

    track: int
    begin: Fraction | None
    packet: "Packet[Any]"
    frames: list[AudioFrame]


@dataclass(frozen=True)
class _Track:
    """The output stream of a track of sound: copied, or encoded anew if there is a resampler."""

    stream: AudioStream
    resampler: AudioResampler | None = None

    def write(self, piece: _Piece, output: OutputContainer) -> None:
        if self.resampler:
            for frame in piece.frames:
                for part in self.resampler.resample(frame):
                    output.mux(self.stream.encode(part))
        elif piece.packet.dts is not None:
            piece.packet.stream = self.stream
            output.mux(piece.packet)

    def end(self, output: OutputContainer) -> None:
        if self.resampler:
            for part in self.resampler.resample(None):
                output.mux(self.stream.encode(part))
            output.mux(self.stream.encode())


@contextmanager
def sound(
    clip: Clip, output: OutputContainer, path: Path, note: Note
) -> Iterator[Callable[[Fraction | None], None]]:
    """Yields a function that writes the clip's sound up to a given time, or to the end for None.

    Times are in seconds, counted from `clip.start`. The packets of a track are copied if the
    container supports their codec; otherwise the track is encoded anew, mixed down if the encoder
    does not know its layout. Tracks of unknown codecs are left out.

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
    tracks = {}
    with opened(clip.path) as source:
        for stream in source.streams.audio:
            if stream.codec_context:
                tracks[stream.index] = _track(stream, output, path, note)
            else:
                note(f"{path}: without a track of sound of {clip.path}, its codec is unknown")
    anew = {index for index, track in tracks.items() if track.resampler}
    # The file is open in `_read` only, so that no error of the output is taken for one of its.
    with closing(_read(clip, tracks, anew)) as pieces:
        waiting = next(pieces, None)

        def write(until: Fraction | None) -> None:
            nonlocal waiting
            while waiting is not None:
                if until is not None and waiting.begin is not None and waiting.begin > until:
                    return
                tracks[waiting.track].write(waiting, output)
                waiting = next(pieces, None)
            if until is None:
                for track in tracks.values():
                    track.end(output)

        yield write


def _read(clip: Clip, tracks: Collection[int], anew: Collection[int]) -> Generator[_Piece]:
    """The sound of these tracks, those in `anew` decoded, with times counted from `clip.start`."""
    if not tracks:
        return
    with opened(clip.path) as source:
        clocks = {index: Clock(clip.offsets) for index in tracks}
        earliest = dict.fromkeys(tracks, -clip.start)
        for packet in source.demux(*[s for s in source.streams.audio if s.index in tracks]):
            index, unit, begin = packet.stream.index, packet.time_base, None
            if packet.dts is not None:
                time = packet.dts * unit
                # Where a file is damaged, times may go back a little, which containers refuse.
                begin = max(clocks[index](time) - clip.start, earliest[index])
                earliest[index] = begin + _SHORTEST
                shift = round((begin - time) / unit)
                packet.dts += shift
                packet.pts = (
                    packet.dts if packet.pts is None else max(packet.pts + shift, packet.dts)
                )
            frames: list[AudioFrame] = []
            if index in anew:
                with suppress(
                    InvalidDataError
                ):  # a moment of silence where a broadcast is disturbed
                    frames = [one for one in packet.decode() if isinstance(one, AudioFrame)]
            yield _Piece(index, begin, packet, frames)


def _track(source: AudioStream, output: OutputContainer, path: Path, note: Note) -> _Track:
    try:
        return _Track(output.add_stream_from_template(source))
    except ValueError:  # the container does not support this codec
        pass
    codec = "libopus" if output.format.name == "webm" else "aac"
    before = source.codec_context.codec.canonical_name
    layout = source.layout.name
    # As it is; then 5.1 for 5.1(side) and the like; stereo is known to all.
    choices = product((layout, layout.partition("(")[0], "stereo"), (source.rate, 48000))
    fitting = (choice for choice in choices if _encodes(codec, *choice))
    used, rate = next(fitting, ("stereo", 48000))
    copy = output.add_stream(codec, rate)
    assert isinstance(copy, AudioStream)
    copy.layout = used
    mixed = "" if used == layout else f", mixed from {layout} to {used}"
    note(f"{path}: sound encoded anew, {before} as {codec.removeprefix('lib')}{mixed}")
    return _Track(copy, AudioResampler(copy.format, copy.layout, rate))


def _encodes(codec: str, layout: str, rate: int) -> bool:
    """Whether an encoder accepts sound of this layout and rate."""
    context = AudioCodecContext.create(codec, "w")
    assert isinstance(context, AudioCodecContext)
    try:
        context.sample_rate, context.layout = rate, layout
        if context.codec.audio_formats:
            context.format = context.codec.audio_formats[0]
        context.open()
    except (FFmpegError, ValueError):
        return False
    return True
