"""The packages from Python: importing them costs nothing."""

import subprocess
import sys

from dfer import pipeline, train

IMPORTS = "import sys, dfer.pipeline, dfer.train; print({name.partition('.')[0] for name in sys.modules})"


def test_importing_the_packages_imports_no_library():
    outcome = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert not {"click", "numpy", "polars", "torch", "mediapipe"} & eval(outcome.stdout)


def test_every_public_name_can_be_imported():
    for package in (pipeline, train):
        assert all(getattr(package, name).__doc__ for name in package.__all__)
