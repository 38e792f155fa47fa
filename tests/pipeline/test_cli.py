import json
import os
import re
import subprocess
import sys

import pytest

HEAVY = ("torch", "mediapipe", "dlib", "decord", "polars", "pyarrow", "numpy", "joblib", "matplotlib", "rich")


@pytest.mark.parametrize("program", ["pipeline", "train"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_no_heavy_library(program, arguments):
    check = f"""
import sys
from dfer.{program}.cli import main
try:
    main({arguments!r})
except SystemExit as stop:
    assert not stop.code
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    outcome = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout


def test_doctor_finds_this_machine_whole(cli, model_paths):
    outcome = cli("pipeline", "doctor")
    assert outcome.returncode == 0, outcome.stdout
    for name in ("Python", "cores", "decord", "dlib", "mediapipe", "face_landmarker.task", "5 of 5 frames"):
        assert name in outcome.stdout
    assert "LACK" not in outcome.stdout


@pytest.mark.parametrize(
    ("driver", "seen"),
    [
        ("echo 'NVIDIA A, 81559 MiB'; echo 'NVIDIA B, 1 MiB'", "NVIDIA A, 81559 MiB; NVIDIA B, 1 MiB"),
        ("echo 'it has failed'; exit 9", "no GPU found (extraction needs none, training is slow)"),
    ],
)
def test_doctor_tells_a_program_of_memory_disk_and_gpu(here, tmp_path, monkeypatch, driver, seen):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{driver}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    outcome = here("pipeline", "doctor", "--json", "--models", tmp_path)
    answer = json.loads(outcome.stdout)
    findings = {finding["name"]: finding for finding in answer["findings"]}
    assert answer["lacking"] == sum(not finding["ok"] for finding in answer["findings"])
    assert outcome.returncode == (1 if answer["lacking"] else 0)
    assert findings["GPU"]["seen"] == seen
    for name in ("memory", "disk"):
        assert re.match(r"\d+\.\d GB free of \d+\.\d GB", findings[name]["seen"])


def test_without_a_driver_doctor_finds_no_gpu(here, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "GPU: no GPU found" in here("pipeline", "doctor").stdout


def test_sample_and_share_print_json(here, sample_clips, make_cache, tmp_path):
    again = json.loads(here("pipeline", "sample", sample_clips, "--json").stdout)
    assert again == {
        "folder": str(sample_clips),
        "clips": sorted(path.name for path in sample_clips.glob("*.flv")),
        "fetched": False,
    }
    cache, out = make_cache([{"label": "a"}]), tmp_path / "shared"
    (cache / "clips").mkdir()
    (cache / "clips" / "00000.parquet").touch()
    shown = here("pipeline", "share", cache, tmp_path / "other").stdout
    assert shown == (
        f"landmarks of 1 clip in {tmp_path / 'other'}; use: pipeline extract SOURCE --reuse {tmp_path / 'other'}\n"
    )
    answer = json.loads(here("pipeline", "share", cache, out, "--json").stdout)
    assert answer == {"shared": str(out), "clips": 1}


def test_doctor_says_what_is_wrong_and_how_to_mend_it(cli, tmp_path):
    (tmp_path / "face_landmarker.task").write_bytes(b"damaged")
    outcome = cli("pipeline", "doctor", "--models", tmp_path)
    assert outcome.returncode == 1
    assert "LACK  face_landmarker.task" in outcome.stdout
    assert f"mend: remove {tmp_path / 'face_landmarker.task'}, then: pipeline models" in outcome.stdout
