import subprocess
import sys

import pytest

HEAVY = ("torch", "mediapipe", "dlib", "decord", "polars", "pyarrow", "numpy", "joblib", "matplotlib", "rich")


@pytest.mark.parametrize("program", ["pipeline", "train"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_no_heavy_library(program, arguments):
    check = f"""
import sys
from {program}.cli import main
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


def test_doctor_says_what_is_wrong_and_how_to_mend_it(cli, tmp_path):
    (tmp_path / "face_landmarker.task").write_bytes(b"damaged")
    outcome = cli("pipeline", "doctor", "--models", tmp_path)
    assert outcome.returncode == 1
    assert "LACK  face_landmarker.task" in outcome.stdout
    assert f"mend: remove {tmp_path / 'face_landmarker.task'}, then: pipeline models" in outcome.stdout
