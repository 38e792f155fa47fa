"""Damaged and odd files. Every clip gets a status, and none of them ends the run."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dfer.schemas.read_cache import read_clips

MUTANTS = 160


def extract(here, source, cache, *options):
    outcome = here("pipeline", "extract", source, "--out", cache, "--json", *options)
    assert outcome.returncode == 0, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert "have one label" in line
    return read_clips(cache)


def mutate(content, random):
    """Damage a file: cut it off, zero a part, flip bits, drop bytes, or overwrite a part with noise."""
    data = bytearray(content)
    kind = random.integers(5)
    start = int(random.integers(len(data)))
    length = int(random.integers(1, 1 + min(20_000, len(data) // 3)))
    if kind == 0:
        del data[start:]
    elif kind == 1:
        data[start : start + length] = bytes(len(data[start : start + length]))
    elif kind == 2:
        for place in random.integers(len(data), size=int(random.integers(1, 60))):
            data[place] ^= 1 << int(random.integers(8))
    elif kind == 3:
        del data[start : start + length]
    else:
        data[start : start + length] = random.bytes(len(data[start : start + length]))
    return bytes(data)


def test_every_damaged_file_gets_a_status(here, sample_clips, moving_astronaut, write_video, tmp_path):
    frames = moving_astronaut(10)
    seeds = [(sample_clips / "1001_DFA_ANG_XX.flv").read_bytes()]
    kinds = [".flv"]
    for name, codec in (("a.mp4", "libx264"), ("b.webm", "libvpx"), ("c.avi", "mpeg4"), ("d.mkv", "libx265")):
        seeds.append(write_video(tmp_path / "seeds" / name, frames, codec).read_bytes())
        kinds.append("." + name.split(".")[1])
    random = np.random.default_rng(0)
    source = tmp_path / "clips" / "label"
    source.mkdir(parents=True)
    for number in range(MUTANTS):
        which = number % len(seeds)
        (source / f"{number:03}{kinds[which]}").write_bytes(mutate(seeds[which], random))
    clips = extract(here, source.parent, tmp_path / "cache", "--frames", 2, "--clip-timeout", 20)
    statuses = Counter(clips["status"])
    assert statuses.total() == MUTANTS
    assert set(statuses) <= {"ok", "no_face", "undecodable", "quarantined"}
    # Most damage leaves something to decode, some nothing; without both, the test would be worthless.
    assert statuses["ok"] > MUTANTS / 4 and statuses["undecodable"] > MUTANTS / 20
    reasons = clips.filter(clips["status"] != "ok")["reason"]
    assert reasons.null_count() == 0 and not any("/" in reason or "0x" in reason for reason in reasons)


@pytest.fixture(scope="module")
def odd_clips(moving_astronaut, write_video, tmp_path_factory):
    """Real faces in odd containers, sizes and places."""
    import av

    root = tmp_path_factory.mktemp("odd") / "a dataset"
    folder = root / "glücklich & [red]"
    folder.mkdir(parents=True)
    frames = moving_astronaut(4)
    write_video(folder / "one frame.mp4", frames[:1])
    write_video(folder / "three.mp4", frames[:3])
    write_video(folder / "200 s.mp4", (frames * 25)[:100], fps=1)
    write_video(folder / "-dash.mp4", frames)
    write_video(folder / "new\nline.mp4", frames)
    write_video(folder / "8k.mp4", [np.array(Image.fromarray(f).resize((7680, 4320))) for f in frames[:2]])
    with av.open(str(folder / "1x1.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width = stream.height = 1
        stream.pix_fmt = "gray"
        for value in (0, 255):
            picture = av.VideoFrame.from_ndarray(np.full((1, 1), value, np.uint8), format="gray")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    gaps = folder / "gaps and sizes"
    gaps.mkdir()
    for number, frame in zip((1, 2, 5, 90), frames, strict=True):
        picture = Image.fromarray(frame)
        picture = picture.resize((400, 300)) if number == 5 else picture
        picture = (
            picture.convert("RGBA") if number == 2 else picture.convert("L") if number == 90 else picture
        )
        picture.save(gaps / f"{number:04}.png")
    broken = folder / "broken image"
    broken.mkdir()
    Image.fromarray(frames[0]).save(broken / "0.png")
    (broken / "1.png").write_bytes(b"\x89PNG not really")
    (folder / "not there.mp4").symlink_to(root / "nowhere.mp4")
    (folder / "loop").symlink_to(root, target_is_directory=True)
    return root


def test_odd_clips_are_read_or_get_a_reason(here, odd_clips, tmp_path):
    clips = extract(here, odd_clips, tmp_path / "cache", "--frames", 8)
    folder = "glücklich & [red]/"
    found = {
        row[0].removeprefix(folder): row[1:]
        for row in clips.select("path", "status", "reason", "frames").rows()
    }
    assert found == {
        "one frame.mp4": ("ok", None, 1),
        "three.mp4": ("ok", None, 3),
        "200 s.mp4": ("ok", None, 8),
        "-dash.mp4": ("ok", None, 4),
        "new\nline.mp4": ("ok", None, 4),
        "8k.mp4": ("ok", None, 2),
        "1x1.mkv": ("no_face", "no face in any sampled frame", 0),
        "gaps and sizes": ("ok", None, 4),
        "broken image": ("undecodable", "an image in the folder cannot be decoded", 0),
        "not there.mp4": ("undecodable", "the file is missing", 0),
    }
    assert clips.filter(clips["path"].str.contains("8k"))["width"].to_list() == [7680]
    verdict = here("pipeline", "verify", tmp_path / "cache", "--json")
    assert json.loads(verdict.stdout)["valid"], verdict.stdout


def test_a_file_name_that_is_not_utf8_is_refused_in_one_line(here, astronaut_video, tmp_path):
    folder = tmp_path / "clips" / "label"
    folder.mkdir(parents=True)
    (folder / "bad\udcff.mp4").write_bytes(astronaut_video.read_bytes())
    outcome = here("pipeline", "extract", folder.parent, "--out", tmp_path / "cache")
    assert outcome.returncode == 1
    (line,) = outcome.stderr.splitlines()
    assert "not UTF-8" in line and "rename" in line
