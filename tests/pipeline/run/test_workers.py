import json
import shutil

import pytest
from folder_bytes import contents

from dfer.schemas.read_cache import read_clips


@pytest.fixture
def clips(astronaut_video, tmp_path):
    """clips(*names) → a folder with copies of a good video under these names."""

    def make(*names):
        folder = tmp_path / "clips" / "label"
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy(astronaut_video, folder / f"{name}.mp4")
        return folder.parent

    return make


def extract(faulty_here, source, cache, *options):
    outcome = faulty_here("pipeline", "extract", source, "--out", cache, "--json", *options)
    assert outcome.returncode == 0, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert "have one label" in line
    rows = read_clips(cache).select("path", "status", "reason").rows()
    return {path.split("/")[-1].removesuffix(".mp4"): (status, reason) for path, status, reason in rows}


def test_clips_that_kill_hang_or_starve_their_process_are_quarantined_alone(faulty_here, clips, tmp_path):
    good = [f"{letter}_good" for letter in "acegik"]
    source = clips(*good, "b_segfault", "d_sigkill", "f_hang", "h_eat", "j_once")
    limits = ("--clip-timeout", 3, "--worker-memory", 0.8, "--frames", 4, "--workers", 2)
    found = extract(faulty_here, source, tmp_path / "cache", *limits)
    died = "its process died (killed, or crashed in a library)"
    assert found == {
        **dict.fromkeys(good, ("ok", None)),
        "b_segfault": ("quarantined", died),
        "d_sigkill": ("quarantined", died),
        "f_hang": ("quarantined", "it took longer than 3 s"),
        "h_eat": ("quarantined", "it needed more than 0.8 GB of memory"),
        "j_once": ("ok", None),
    }


def test_faults_leave_the_same_bytes_with_any_number_of_workers(faulty_here, clips, tmp_path):
    source = clips("a", "b_sigkill", "c")
    for workers in (1, 3):
        extract(faulty_here, source, tmp_path / str(workers), "--frames", 2, "--workers", workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--clip-timeout", 0), "--clip-timeout 0.0: must be at least"),
        (("--worker-memory", 0.1), "--worker-memory 0.1: must be at least 0.5"),
    ],
)
def test_limits_too_small_for_any_clip_are_refused(here, clips, tmp_path, option, message):
    outcome = here("pipeline", "extract", clips("a"), "--out", tmp_path / "cache", *option)
    assert outcome.returncode == 1 and message in outcome.stderr
    assert not (tmp_path / "cache").exists()


def test_retry_extracts_only_shards_with_quarantined_clips(faulty_here, clips, tmp_path):
    source, cache = clips("a", "b", "c_moody"), tmp_path / "cache"
    options = ("--frames", 2, "--shard-clips", 2, "--clip-timeout", 2, "--workers", 1)
    found = extract(faulty_here, source, cache, *options)
    assert found["c_moody"] == ("quarantined", "it took longer than 2 s")
    kept = (cache / "faces" / "00000.arrow").stat().st_ino
    again = faulty_here("pipeline", "extract", source, "--out", cache, *options)
    assert again.stdout.startswith("nothing to do") and "with --retry" in again.stdout
    (source / "label" / "c_moody.calm").touch()
    outcome = faulty_here("pipeline", "extract", source, "--out", cache, *options, "--retry", "--json")
    assert json.loads(outcome.stdout)["extracted"] == 1 and json.loads(outcome.stdout)["ok"] == 3
    assert (cache / "faces" / "00000.arrow").stat().st_ino == kept
