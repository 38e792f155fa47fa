import json
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
        f"landmarks of 1 clip in {tmp_path / 'other'}, without a picture\nnext: whoever has the same files: "
        f"pipeline extract SOURCE --reuse {tmp_path / 'other'} --out CACHE; without them: "
        f"train baseline {tmp_path / 'other'}\n"
    )
    answer = json.loads(here("pipeline", "share", cache, out, "--json").stdout)
    assert answer == {"shared": str(out), "clips": 1}
