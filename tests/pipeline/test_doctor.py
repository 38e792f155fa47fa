import importlib
import json
import os
import re
import sys

import pytest
import small_shm

from dfer.pipeline import doctor


def test_nothing_is_missing_on_this_machine(cli, model_paths):
    outcome = cli("pipeline", "doctor")
    assert outcome.returncode == 0, outcome.stdout
    for name in ("Python", "cores", "decord", "dlib", "mediapipe", "face_landmarker.task", "5 of 5 frames"):
        assert name in outcome.stdout
    assert "MISSING" not in outcome.stdout


@pytest.mark.parametrize(
    ("driver", "seen"),
    [
        ("echo 'NVIDIA A, 81559 MiB'; echo 'NVIDIA B, 1 MiB'", "NVIDIA A, 81559 MiB; NVIDIA B, 1 MiB"),
        ("echo 'it has failed'; exit 9", "none (extraction does not need one; training is slow)"),
    ],
)
def test_memory_disk_and_gpu_are_printed_as_json(here, tmp_path, monkeypatch, driver, seen):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{driver}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    outcome = here("pipeline", "doctor", "--json", "--models", tmp_path)
    answer = json.loads(outcome.stdout)
    findings = {finding["name"]: finding for finding in answer["checks"]}
    assert answer["missing"] == sum(not finding["ok"] for finding in answer["checks"])
    assert outcome.returncode == (1 if answer["missing"] else 0)
    assert findings["GPU"]["found"] == seen
    for name in ("memory", "disk"):
        assert re.match(r"\d+\.\d GB free of \d+\.\d GB", findings[name]["found"])


def test_a_busy_machine_is_a_note_with_advice_unless_it_is_followed(here, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    followed = here("pipeline", "doctor").stdout
    assert re.search(r"ok       load: \d+\.\d on \d+ cores?, mean of the last minute\n", followed)
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    load, cores = os.getloadavg()[0], os.cpu_count()
    found = here("pipeline", "doctor").stdout
    if load > cores:
        assert (
            "note     load: " in found and "before training on the CPU, set OMP_WAIT_POLICY=PASSIVE" in found
        )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "before training" not in here("pipeline", "doctor").stdout


def test_without_a_driver_there_is_no_gpu(here, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "note     GPU: none" in here("pipeline", "doctor").stdout


def test_a_damaged_model_is_reported_with_its_fix(here, tmp_path):
    (tmp_path / "face_landmarker.task").write_bytes(b"damaged")
    outcome = here("pipeline", "doctor", "--models", tmp_path)
    assert outcome.returncode == 1
    assert "MISSING  face_landmarker.task" in outcome.stdout
    assert f"fix: remove {tmp_path / 'face_landmarker.task'}, then: pipeline models" in outcome.stdout


def test_torch_is_imported_before_decord(monkeypatch):
    imported = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    monkeypatch.setitem(sys.modules, "decord", None)  # the decoding check imports it too
    checks = list(doctor.run_checks())
    assert imported.index("torch") < imported.index("decord")
    assert not checks[-1].ok and checks[-1].fix == "pip install --force-reinstall decord2"


def test_shared_memory_is_checked(program, astronaut_video, tmp_path):
    small = small_shm.run("64m", program("pipeline"), "doctor")
    assert "shared memory: 0.1 GB free of 0.1 GB, at /dev/shm (enough; only" in small.stdout
    full = small_shm.run("4k", program("pipeline"), "doctor")
    assert full.returncode == 1 and "MISSING  shared memory: /dev/shm: No space left on device" in full.stdout
    extract = ("extract", astronaut_video.parent, "--out", tmp_path / "cache")
    outcome = small_shm.run("4k", program("pipeline"), *extract)
    line = outcome.stderr.splitlines()[-1]
    assert outcome.returncode == 1 and line.startswith("pipeline: /dev/shm: No space left"), outcome.stderr
    assert not (tmp_path / "cache").exists()
