"""How well `train live` keeps up: a video of 640×480 played at its own speed.

    python tests/benchmarks/live.py VIDEO default RUN...

VIDEO is any video with a face. It is scaled to 640×480 and repeated until it lasts 20 s. Run it on a quiet machine.
"""

import argparse
import itertools
import tempfile
from contextlib import closing
from pathlib import Path

import av

from dfer import train
from dfer.train.use.live import Pace, live

SECONDS, FPS, SIZE = 20, 30, (640, 480)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("runs", metavar="default|RUN", nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        played = Path(folder) / "played.mp4"
        repeat(options.video, played)
        for run in options.runs:
            pace = Pace()
            with closing(live(train.load(run).model, played)) as moments:
                for moment in moments:
                    pace.note(moment)
            print(f"{run}: {pace.text()}")


def repeat(video: Path, target: Path) -> None:
    """Write a video of SECONDS from another one's frames."""
    with av.open(str(video)) as source:
        pictures = [frame.reformat(*SIZE, format="yuv420p") for frame in source.decode(video=0)]
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        there_and_back = itertools.cycle([*pictures, *reversed(pictures)])
        for number, picture in enumerate(itertools.islice(there_and_back, SECONDS * FPS)):
            frame = av.VideoFrame.from_ndarray(picture.to_ndarray(), format="yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    main()
