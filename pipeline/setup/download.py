"""Download files, checked by sha256: packages through pip, others over HTTPS. No other module uses the network."""

import hashlib
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
    """Raise UserError unless the file has this sha256."""
    found = file_sha256(path)
    if found != sha256:
        raise UserError(
            f"{path} has sha256 {found[:12]}…, expected {sha256[:12]}…; delete it and run this again"
        )


def with_pip(
    requirement: str, sha256: str, use: Callable[[Path], None], *, source_release: bool = False
) -> None:
    """Download one file of a package, without dependencies and without installing it.

    requirement: name==version
    sha256: of the file; pip checks it before it reads the content
    use: called with the file, which is deleted afterwards
    source_release: download the source release instead of a wheel

    Raises UserError where there is no pip or no network, or the file has another sha256.
    """
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
            raise UserError(f"cannot download {requirement}: {_pip_reason(outcome.stderr)}")
        wanted.unlink()
        (file,) = Path(folder).iterdir()
        check_sha256(file, sha256)
        use(file)


def over_https(url: str, sha256: str, target: Path) -> None:
    """Download a file; `target` appears only if its sha256 is right.

    Raises UserError where the address cannot be reached or serves another file.
    """
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            content = response.read()
    except OSError as error:
        raise UserError(
            f"cannot download {url}: {getattr(error, 'reason', error)}; check the network"
        ) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{url} serves a file with the wrong sha256, expected {sha256[:12]}…; not used")
    write_atomic(target, content)


def _pip_reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any(line.endswith("No module named pip") for line in lines):
        return "this Python has no pip; install it (`uv pip install pip` or `python -m ensurepip`)"
    if any(
        "connection broken" in line or "Max retries" in line or "Network is unreach" in line for line in lines
    ):
        return "no network; connect and run this again"
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        return "the downloaded file has the wrong sha256; not used"
    errors = [line for line in lines if line.startswith("ERROR")]
    return errors[-1] if errors else (lines[-1] if lines else "pip gave no reason")
