"""Files that are not clips, and files that are skipped because of their names."""

import os

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest


@pytest.mark.parametrize("suffix", [".f4v", ".m2ts", ".M2V", ".divx", ".mxf", ".qt"])
def test_rare_video_suffixes_are_read(root, suffix):
    manifest = read_manifest(trees.write_files(root, f"happy/a{suffix}", "sad/b.mp4"))
    assert len(manifest.clips) == 2 and not manifest.problems


def test_media_with_unusual_names_are_reported_and_other_files_are_not(root):
    trees.write_files(root, "happy/a.mp4", "sad/b.mp4", "notes.pdf", "LICENSE", "happy/sound.wav")
    mp4, png = b"\0\0\0\x20ftypisom" + bytes(99), b"\x89PNG\r\n\x1a\n" + bytes(99)
    for name, content in {
        "happy/c.video": mp4,
        "sad/d.video": mp4,
        "sad/e": mp4,
        "sad/sound.m4a": mp4,
        "cover.thumb": png,
    }.items():
        (root / name).write_bytes(content)
    os.mkfifo(root / "pipe.video2")
    assert [(p.kind, p.line) for p in read_manifest(root).problems] == [
        (
            "skipped",
            "files that look like videos or images, skipped for lack of a suffix: 1 (sad/e)",
        ),
        (
            "skipped",
            "files that look like videos or images, skipped for their suffix .thumb: 1 (cover.thumb)",
        ),
        (
            "skipped",
            "files that look like videos or images, skipped for their suffix .video: 2 (happy/c.video, sad/d.video)",
        ),
    ]
