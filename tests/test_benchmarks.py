"""The scripts of tests/benchmarks, which are run by hand, so nothing else would notice a name that is gone."""

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda script: script.stem)
def test_a_benchmark_finds_all_that_it_imports(script, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    assert runpy.run_path(str(script), run_name="imported")["__doc__"]
