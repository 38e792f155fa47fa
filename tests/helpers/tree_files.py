"""Write frame folders, videos, text and stand-ins."""

import functools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

Source = Path | str | Sequence[np.ndarray]

SMALLEST = 100  # bytes of a real video
FRAMES = 8  # of a video, in a frame folder


def frames_of(source: Source) -> Iterator[np.ndarray]:
    """The frames of a source; of a video, FRAMES spread evenly."""
    if not isinstance(source, str | Path):
        yield from source
        return
    import av

    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    yield from (frames[i] for i in np.linspace(0, len(frames) - 1, FRAMES).astype(int))


def write_frame_folder(folder: Path, source: Source, name: str = "{:05}.jpg") -> None:
    """Write a source's frames as images, numbered from 1. An empty sequence makes an empty folder."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number, frame in enumerate(frames_of(source), 1):
        Image.fromarray(frame).save(folder / name.format(number), quality=95)


def write_video(path: Path, source: Source) -> None:
    """Copy a video, re-encoded if the suffix differs, or encode frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(source, str | Path):
        encode(path, source)
        return
    made = Path(source)
    if made.suffix == path.suffix or made.stat().st_size < SMALLEST:  # a stand-in is not a video
        shutil.copy(made, path)
        return
    path.write_bytes(_in_container(made, path.suffix))


@functools.cache
def _in_container(video: Path, suffix: str) -> bytes:
    """FRAMES of a video, encoded in another container."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"video{suffix}"
        encode(path, list(frames_of(video)))
        return path.read_bytes()


def encode(path: Path, frames: Sequence[np.ndarray], codec: str = "mpeg4", fps: int = 25) -> None:
    """Write frames (H, W, 3) uint8 as a video."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def write_text(path: Path, lines: Sequence[str], end: str = "\n", bom: bool = False) -> None:
    """Write lines as UTF-8. end: of each line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode("utf-8-sig" if bom else "utf-8"))


def write_files(root: Path, *names: str) -> Path:
    """Write files of one byte below a folder and return it: enough if no clip is decoded."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root
