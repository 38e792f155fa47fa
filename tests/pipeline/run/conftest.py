"""Builds that are killed on the way."""

import contextlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

KILLER = Path(__file__).parents[1] / "killer"


@pytest.fixture
def killed_build(tmp_path):
    """killed_build(job)(step, cache) → the exit code of a process that builds a cache and is killed at a step."""
    with contextlib.ExitStack() as stack:

        def serve(job):
            (tmp_path / "job").write_bytes(pickle.dumps(job))
            command = [sys.executable, KILLER / "build.py", tmp_path / "job"]
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(server)

            def call(step, cache):
                server.stdin.write(json.dumps([step, str(cache)]) + "\n")
                server.stdin.flush()
                return int(server.stdout.readline())

            return call

        yield serve
