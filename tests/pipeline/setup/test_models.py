import json
import shutil

import pytest

from dfer.pipeline.setup import models
from dfer.schemas.support.errors import UserError


def test_all_models_are_listed_with_licence_path_and_sha256(cli):
    outcome = cli("pipeline", "models", "--json")
    assert outcome.returncode == 0, outcome.stderr
    shown = {row["name"]: row for row in json.loads(outcome.stdout)}
    resnet = "dlib_face_recognition_resnet_model_v1.dat"
    assert set(shown) == {"face_landmarker.task", "shape_predictor_68_face_landmarks.dat", resnet}
    assert shown["face_landmarker.task"]["licence"] == "Apache-2.0"
    assert "no commercial use" in shown["shape_predictor_68_face_landmarks.dat"]["licence"]
    assert "sha256   64184e229b26" in cli("pipeline", "models").stdout


def test_the_option_overrides_the_variable_and_both_the_users_folder(model_paths, tmp_path, monkeypatch):
    for name in ("option", "variable"):
        (tmp_path / name).mkdir()
        shutil.copy(model_paths.landmarker, tmp_path / name)
    monkeypatch.setenv(models.MODELS_VARIABLE, str(tmp_path / "variable"))
    assert models.obtain(models.LANDMARKER).parent == tmp_path / "variable"
    assert models.obtain(models.LANDMARKER, tmp_path / "option").parent == tmp_path / "option"


def test_a_model_with_the_wrong_sha256_is_refused(cli, tmp_path, sample_clips):
    (tmp_path / "face_landmarker.task").write_bytes(b"something else")
    for command in (["models"], ["extract", sample_clips, "--out", tmp_path / "out"]):
        outcome = cli("pipeline", *command, DFER_MODELS=str(tmp_path))
        assert outcome.returncode == 1
        (line,) = outcome.stderr.splitlines()
        assert "face_landmarker.task has sha256" in line and "expected 64184e229b26" in line
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_downloaded_to_the_users_cache_folder(cli, tmp_path):
    outcome = cli("pipeline", "models", "--json", XDG_CACHE_HOME=str(tmp_path), DFER_MODELS="")
    assert outcome.returncode == 0, outcome.stderr
    obtained = tmp_path / "dfer-keypoints" / "models" / "face_landmarker.task"
    assert str(obtained) in outcome.stdout and obtained.stat().st_size == 3_758_596


def test_without_the_predictors_package_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install face_recognition_models"):
        models.obtain(models.PREDICTOR)
