"""Damage to video files, as bytes: what broken disks, downloads and recorders do, and some more."""

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEADER = 4096  # bytes; where most containers describe themselves


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video file. container: PyAV's name of its format."""

    name: str
    suffix: str
    container: str
    content: bytes


Mutation = Callable[[Clip, Sequence[Clip], random.Random], tuple[bytes, str]]


def untouched(clip: Clip, _others: Sequence[Clip], _chance: random.Random) -> tuple[bytes, str]:
    return clip.content, clip.suffix


def bit_flips(clip: Clip, _others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    """Flip 1 to 1000 bits anywhere, or in the header or the trailer alone."""
    content = bytearray(clip.content)
    size = len(content)
    start, end = chance.choice([(0, size), (0, size), (0, min(HEADER, size)), (max(0, size - HEADER), size)])
    for _ in range(int(10 ** chance.uniform(0, 3))):
        content[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
    return bytes(content), clip.suffix


def cut_end(clip: Clip, _others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    return clip.content[: chance.randrange(len(clip.content))], clip.suffix


def cut_start(clip: Clip, _others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    return clip.content[chance.randrange(1, len(clip.content)) :], clip.suffix


def zeroed_spans(clip: Clip, _others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    """Zero one to five spans, as a download with holes has them."""
    content = bytearray(clip.content)
    for _ in range(chance.randint(1, 5)):
        start, length = _span(len(content), chance)
        content[start : start + length] = bytes(length)
    return bytes(content), clip.suffix


def noise_spans(clip: Clip, _others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    """Replace a span by random bytes."""
    start, length = _span(len(clip.content), chance)
    content = clip.content
    return content[:start] + chance.randbytes(length) + content[start + length :], clip.suffix


def moved_spans(clip: Clip, _others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    """Leave a span out, repeat it, or move it to another place."""
    start, length = _span(len(clip.content), chance)
    span, rest = clip.content[start : start + length], clip.content[:start] + clip.content[start + length :]
    if chance.random() < 0.3:
        return rest, clip.suffix
    place = chance.randrange(len(rest) + 1)
    kept = rest if chance.random() < 0.5 else clip.content
    return kept[:place] + span + kept[place:], clip.suffix


def swapped_body(clip: Clip, others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    """The start of a file, and the rest of one in another container."""
    other = chance.choice(others)
    header = min(chance.choice([16, 64, 512, HEADER, len(clip.content) // 2]), len(clip.content))
    return clip.content[:header] + other.content[header:], clip.suffix


def wrong_suffix(clip: Clip, others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    return clip.content, chance.choice([o.suffix for o in others if o.suffix != clip.suffix])


def remuxed(clip: Clip, others: Sequence[Clip], chance: random.Random) -> tuple[bytes, str]:
    """The packets in another container, or in the same where no other takes them; some lost, late or doubled."""
    import av

    for other in (*chance.sample(list(others), len(others)), clip):
        target = io.BytesIO()
        try:
            _copy_packets(clip.content, target, other.container, chance)
        except (av.FFmpegError, ValueError, TypeError):
            continue
        return target.getvalue(), other.suffix
    return clip.content, clip.suffix


def _copy_packets(content: bytes, target: io.BytesIO, container: str, chance: random.Random) -> None:
    import av

    lost, late, doubled = (chance.choice([0, 0, 0.1, 0.5]) for _ in range(3))
    with av.open(io.BytesIO(content)) as source, av.open(target, "w", format=container) as made:
        stream = source.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if not packet.size or (number and chance.random() < lost):
                continue
            times = 2 if chance.random() < doubled else 1
            if packet.pts is not None and chance.random() < late:
                packet.pts += chance.randrange(100)
            packet.stream = copy
            for _ in range(times):
                made.mux(packet)


def _span(size: int, chance: random.Random) -> tuple[int, int]:
    """Start and length of a span: up to a third of a file, most often a short one."""
    length = max(1, int(size / 3 * chance.random() ** 3))
    return chance.randrange(size - length + 1), length


MUTATIONS: dict[str, Mutation] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(untouched, bit_flips, cut_end, cut_start, zeroed_spans, noise_spans),
        *(moved_spans, swapped_body, wrong_suffix, remuxed),
    )
}
WEIGHTS = {"untouched": 0.2, "bit-flips": 3}  # of 1 for the others


def mutate(clip: Clip, clips: Sequence[Clip], chance: random.Random) -> tuple[str, bytes, str]:
    """Damage a clip in a random way. clips: all clips. Returns the way's name, the content and the suffix."""
    others = [other for other in clips if other.container != clip.container]
    name = chance.choices([*MUTATIONS], [WEIGHTS.get(name, 1) for name in MUTATIONS])[0]
    content, suffix = MUTATIONS[name](clip, others, chance)
    return name, content, suffix
