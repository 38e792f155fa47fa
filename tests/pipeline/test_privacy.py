import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ADDRESS = re.compile(r'sa_family=AF_INET6?,.*?(?:inet_addr|inet_pton)\((?:AF_INET6, )?"([^"]+)"')


def traced(command, log):
    """Run a command under strace; return the internet addresses it or a child used, and its outcome."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=network", "-o", str(log)]
    outcome = subprocess.run([*strace, *map(str, command)], capture_output=True, text=True, timeout=600)
    return set(ADDRESS.findall(log.read_text())), outcome


@pytest.fixture(scope="module")
def strace_works(tmp_path_factory):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    log = tmp_path_factory.mktemp("strace") / "log"
    probe = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.2', 9))"
    addresses, outcome = traced([sys.executable, "-c", probe], log)
    if outcome.returncode:
        pytest.skip(f"strace cannot trace here: {outcome.stderr.strip()[:100]}")
    assert "127.0.0.2" in addresses


def test_an_extraction_contacts_no_address_outside_the_machine(strace_works, sample_clips, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(sample_clips / "1001_DFA_ANG_XX.flv", source)
    program = Path(sys.executable).parent / "pipeline"
    command = [program, "extract", source, "--out", tmp_path / "cache", "--workers", "1", "--frames", "4"]
    addresses, outcome = traced(command, tmp_path / "log")
    assert outcome.returncode == 0, outcome.stderr
    assert "1 of 1 clip usable" in outcome.stdout
    assert {a for a in addresses if not a.startswith("127.") and a != "::1"} == set()


def test_a_detector_in_the_callers_process_contacts_no_address_and_keeps_its_environment(
    strace_works, sample_clips, tmp_path
):
    program = f"""
import os
from pathlib import Path
from dfer.pipeline import clip
from dfer.pipeline import config
from dfer.pipeline.face import mediapipe_tasks
from dfer.pipeline.setup import models
before = os.environ.get('https_proxy'), os.environ.get('HTTPS_PROXY')
path = Path({str(sample_clips / "1001_DFA_ANG_XX.flv")!r})
assert clip.extract_clip(path, config.ExtractConfig(frames=4), models.obtain_all()).status == "ok"
assert (os.environ.get('https_proxy'), os.environ.get('HTTPS_PROXY')) == before
mediapipe_tasks.close_detectors()
"""
    addresses, outcome = traced([sys.executable, "-c", program], tmp_path / "log")
    assert outcome.returncode == 0, outcome.stderr
    assert {a for a in addresses if not a.startswith("127.") and a != "::1"} == set()
