import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import dfer.data_manifest
import dfer.pipeline
import dfer.schemas
from dfer.pipeline.setup import download
from dfer.pipeline.setup.sample import REQUIREMENT, SHA256
from dfer.schemas.support.errors import UserError

CLOSED = "http://127.0.0.1:9"


@pytest.mark.parametrize("command", [["sample", "clips"], ["models"]])
def test_without_network_the_error_is_one_line(cli, tmp_path, command):
    environment = {"https_proxy": CLOSED, "HTTPS_PROXY": CLOSED, "XDG_CACHE_HOME": str(tmp_path / "home")}
    environment |= {"PIP_CACHE_DIR": str(tmp_path / "pip"), "DFER_MODELS": ""}
    arguments = [command[0], *(tmp_path / name for name in command[1:])]
    outcome = cli("pipeline", *arguments, **environment)
    assert outcome.returncode == 1
    (line,) = outcome.stderr.splitlines()
    assert "no network" in line
    assert not list((tmp_path / "clips").glob("*.flv"))


def test_without_pip_the_error_says_how_to_install_it(tmp_path):
    # An environment as uv makes it: everything that is installed here, except pip.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith("pip"):
            (packages / entry.name).symlink_to(entry)
    (packages / "dfer").mkdir(exist_ok=True)
    for package in (dfer.data_manifest, dfer.pipeline, dfer.schemas):
        link = packages / package.__name__.replace(".", "/")
        if not link.exists():
            link.symlink_to(Path(package.__file__).parent)
    program = (
        "import sys; from dfer.pipeline.cli import main; main(['sample', 'clips'], prog_name='pipeline')"
    )
    outcome = subprocess.run(
        [tmp_path / "bare" / "bin" / "python", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(packages)},
    )
    assert outcome.returncode == 1
    (line,) = outcome.stderr.splitlines()
    assert "no pip" in line and "uv pip install pip" in line


def test_a_package_file_with_the_wrong_sha256_is_not_used():
    used = []
    with pytest.raises(UserError, match="has the wrong sha256"):
        download.with_pip(REQUIREMENT, SHA256[::-1], used.append, source_release=True)
    assert used == []


def test_setuptools_can_be_imported_after_a_download(tmp_path):
    # torch.compile imports it, and a process may train after a download.
    program = (
        "from dfer.pipeline.setup import download\n"
        "from dfer.pipeline.setup.sample import REQUIREMENT, SHA256\n"
        "try: download.with_pip(REQUIREMENT, SHA256, print)\n"
        "except download.UserError: print('no network')\n"
        "import setuptools"
    )
    closed = {"https_proxy": CLOSED, "HTTPS_PROXY": CLOSED, "PIP_CACHE_DIR": str(tmp_path / "pip")}
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **closed}
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "no network\n"


def test_a_download_with_the_wrong_sha256_leaves_no_file(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    with pytest.raises(UserError, match="wrong sha256"):
        download.over_https(source.as_uri(), "0" * 64, tmp_path / "target")
    download.over_https(
        source.as_uri(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        tmp_path / "target",
    )
    assert (tmp_path / "target").read_bytes() == b"abc"
