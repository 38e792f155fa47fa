"""`train export`: files that give the network's answers elsewhere, say what they need, and are never half-written."""

import dataclasses
import json
import os
import shutil
import subprocess
import time
from functools import partial

import made_up
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from linked_copy import linked_copy
from made_up import TEN, refused
from safetensors import safe_open
from small_networks import small
from synthetic_cache import write_cache

from dfer import train
from dfer.schemas.keypoints import DLIB18, KEYPOINT_SETS
from dfer.schemas.support.errors import UserError
from dfer.train.config import load_config
from dfer.train.engine import checkpoint
from dfer.train.models.made_up import made_up_input
from dfer.train.models.registry import build
from dfer.train.use import exported, traced
from dfer.train.use.quantize import Quantized
from dfer.train.use.traced import Probabilities

QUICK = (
    "vit",
    "densenet",
    "c3d",
)  # with a fixed number of frames, with any, and one that cannot be traced for any
UNALTERED = {  # figures of int8 weights that change nothing
    "clips": 50,
    "description": "fold 1",
    "war": (0.9, 0.9),
    "uar": (0.8, 0.8),
    "same_labels": 1.0,
    "speed": (1.2, 3.0),
    "size": 0.25,
}


@pytest.fixture(scope="module")
def exported_run(small_run, tmp_path_factory):
    """A copy of the small run with last.onnx and last.int8.onnx in it, and what both commands printed."""
    run = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(small_run, run)
    return run, made_up.printed("export", run), made_up.printed("export", run, "--quantize", "int8")


def probabilities(run, cache, **options):
    found = train.load(run, **options).predict(cache)
    return np.array([[*each.probabilities.values()] for each in found])


def test_an_onnx_file_gives_the_answers_of_the_network(exported_run, sample_cache):
    run, printed, _ = exported_run
    eager, onnx = probabilities(run, sample_cache), probabilities(run, sample_cache, runtime="onnx")
    assert np.abs(eager - onnx).max() < 1e-5
    assert printed["check"]["clips"] == 6 and printed["check"]["same_labels"]
    assert printed["check"]["difference"] < 1e-5


def test_the_file_alone_is_enough_to_predict(exported_run, sample_cache, tmp_path):
    run = exported_run[0]
    alone = shutil.copy(run / "last.onnx", tmp_path / "alone.onnx")
    expected = probabilities(run, sample_cache, runtime="onnx")
    assert np.array_equal(probabilities(alone, sample_cache), expected)
    result = made_up.printed("predict", alone, sample_cache)
    assert len(result["clips"]) == 6 and result["labels"] == list(train.load(run).labels)


def test_other_programs_find_what_they_need_in_the_file(exported_run):
    run = exported_run[0]
    session, saved = onnxruntime.InferenceSession(run / "last.onnx"), checkpoint.load(run / "last.pt")
    texts = session.get_modelmeta().custom_metadata_map
    about = {name: json.loads(text) for name, text in texts.items()}
    assert about["labels"] == list(saved.labels)
    assert about["preprocessing"]["crop_fraction"] == saved.config.data.crop_fraction
    assert about["preprocessing"]["image_size"] == saved.config.data.image_size
    assert about["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert about["preprocessing"]["channels"] == "RGB"
    assert about["keypoints"]["edges"] == [list(edge) for edge in DLIB18.edges]
    assert about["frames"] == saved.config.data.num_frames
    assert about["extraction"] == saved.origin["extraction"][0]
    (output,) = session.get_outputs()
    assert output.name == "probabilities" and output.shape[0] == "batch"


def test_any_number_of_clips_can_be_given(exported_run):
    run = exported_run[0]
    saved = checkpoint.load(run / "last.pt")
    network = checkpoint.restore(saved)
    session = onnxruntime.InferenceSession(run / "last.onnx")
    names = [each.name for each in session.get_inputs()]
    for clips in (1, 2, 5):
        given = made_up_input(network, saved.config.network, clips, saved.config.data.num_frames)
        (found,) = session.run(None, {name: getattr(given, name).numpy() for name in names})
        with torch.no_grad():
            expected = Probabilities(network)(**given.tensors()).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_torch_program_gives_the_answers_of_the_network(small_run, tmp_path):
    printed = made_up.printed("export", small_run, "--format", "torch", "--out", tmp_path / "a.pt2")
    assert printed["check"]["clips"] == 6 and printed["check"]["difference"] < 1e-5
    texts = dict.fromkeys(field.name for field in dataclasses.fields(exported.About))
    program = torch.export.load(tmp_path / "a.pt2", extra_files=texts)
    saved = checkpoint.load(small_run / "last.pt")
    assert json.loads(texts["labels"]) == list(saved.labels)
    network = checkpoint.restore(saved)
    for clips in (1, 3):
        given = made_up_input(network, saved.config.network, clips, saved.config.data.num_frames).tensors()
        with torch.no_grad():
            torch.testing.assert_close(program.module()(**given), Probabilities(network)(**given))


def test_safetensors_has_the_weights_and_the_same_facts(small_run, tmp_path):
    said = made_up.done(
        "export", small_run, "--format", "safetensors", "--out", tmp_path / "a.safetensors"
    ).stdout
    assert f"next: in Python safetensors.torch.load_file('{tmp_path / 'a.safetensors'}')" in said
    saved = checkpoint.load(small_run / "last.pt")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert json.loads(file.metadata()["labels"]) == list(saved.labels)
        assert {*file.keys()} == {*saved.model}
        assert all(torch.equal(file.get_tensor(name), value) for name, value in saved.model.items())


def test_int8_states_what_it_costs(exported_run, sample_cache):
    run, _, printed = exported_run
    assert printed["path"] == str(run / "last.int8.onnx")
    measured, truth = printed["quantized"], [each.label for each in train.load(run).predict(sample_cache)]
    for runtime, war in zip(("onnx", "int8"), measured["war"], strict=True):
        found = [each.predicted for each in train.load(run, runtime=runtime).predict(sample_cache)]
        assert np.mean([a == b for a, b in zip(found, truth, strict=True)]) == pytest.approx(war)
    assert measured["clips"] == 6 and measured["size"] < 0.4
    assert len(measured["speed"]) == 2 and all(0 <= share <= 1 for share in measured["uar"])


def test_the_int8_file_predicts_like_the_network_but_not_exactly(exported_run, sample_cache):
    run = exported_run[0]
    eager, int8 = probabilities(run, sample_cache), probabilities(run, sample_cache, runtime="int8")
    assert 1e-5 < np.abs(eager - int8).max() < 0.1
    assert np.array_equal(probabilities(run / "last.int8.onnx", sample_cache), int8)


@pytest.mark.parametrize("figure", ["war", "uar"])
def test_int8_that_is_clearly_worse_is_called_so(figure):
    assert not any("worse" in line for line in Quantized(**UNALTERED).lines)
    assert "clearly worse" in Quantized(**{**UNALTERED, figure: (0.8, 0.7)}).lines[-1]


def test_an_onnx_file_predicts_videos_without_labels_and_keeps_their_cache(
    exported_run, moving_astronaut, write_video, tmp_path
):
    run, kept = exported_run[0], tmp_path / "kept"
    video = write_video(tmp_path / "a.mp4", moving_astronaut(6))
    result = made_up.printed("predict", run, video, "--runtime", "onnx", "--keep", kept, "--workers", 1)
    (clip,) = result["clips"]
    assert clip["status"] == "ok" and clip["label"] is None
    again = made_up.printed("predict", run, kept)
    assert again["clips"][0]["probabilities"] == pytest.approx(clip["probabilities"], abs=1e-5)


def test_without_the_cache_made_up_input_is_checked(small_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "caches": [str(tmp_path / "gone")]}))
    outcome = made_up.done("export", run, "--format", "torch")
    assert "takes any number of clips, of 4 frames" in outcome.stdout
    assert "checked on made-up input" in outcome.stdout and (run / "last.pt2").is_file()
    assert "--quantize needs the clips" in refused("export", run, "--quantize", "int8")


@pytest.mark.parametrize("model", QUICK)
def test_networks_of_the_registry_export_for_any_batch(model):
    config = load_config("quick", small(model))
    network = build(config.model, config.network, config.task(7, DLIB18), 0).eval()
    program, any_frames = traced.trace(network, config)
    assert any_frames == (model == "densenet")
    session = exported.of_session(exported.open_session(traced.as_onnx(program, {})), 7)
    for clips, frames in ((1, 4), (2, 4), *(((1, 7),) if any_frames else ())):
        given = made_up_input(network, config.network, clips, frames)
        with torch.no_grad():
            expected = Probabilities(network)(**given.tensors())
        for file in (session, exported.of_program(program, 7)):
            torch.testing.assert_close(file(given).clip.exp(), expected, atol=1e-5, rtol=0)


class Unexportable(torch.nn.Module):
    """Looks at a pixel to decide what to do, which no traced program can."""

    class_shift = None

    def __init__(self, network):
        super().__init__()
        self.task, self.network = network.task, network

    def forward(self, given):
        seen = given if given.frames.sum() > 0 else given._replace(frames=-given.frames)
        return self.network(seen)


def test_a_network_that_cannot_be_traced_is_one_line():
    config = load_config("quick", small("vit"))
    network = build(config.model, config.network, config.task(7, DLIB18), 0).eval()
    with pytest.raises(UserError) as error:
        traced.trace(Unexportable(network), config)
    assert "vit cannot be exported" in str(error.value) and "\n" not in str(error.value)


def test_a_file_of_another_epoch_is_refused(exported_run, sample_cache, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(exported_run[0], run)
    saved = checkpoint.load(run / "last.pt")
    checkpoint.save(run / "last.pt", dataclasses.replace(saved, epoch=saved.epoch + 1))
    line = refused("predict", run, sample_cache, "--runtime", "onnx")
    assert "last.onnx was made of another last.pt; call `train export` again" in line


def test_a_cache_that_the_run_cannot_be_checked_on_is_refused(small_run, sample_cache, tmp_path, monkeypatch):
    def line(cache):
        return refused("export", small_run, "--cache", cache, "--out", tmp_path / "a.onnx")

    other = linked_copy(sample_cache, tmp_path / "other", "cache.json")
    about = json.loads((other / "cache.json").read_text())
    about["settings"]["size"] = 96
    (other / "cache.json").write_text(json.dumps(about))
    assert f"{other}: extracted with --size 96, the model's training clips with --size 128" in line(other)
    monkeypatch.setitem(KEYPOINT_SETS, TEN.name, TEN)
    ten = write_cache(tmp_path / "ten", [made_up.clip("a", 0, points=10)], keypoints=TEN)
    assert f"{ten}: it has the key-points ten, the run dlib18" in line(ten)
    assert "no such cache" in line(tmp_path / "gone")
    assert "is not a landmark cache" in line(tmp_path)
    assert not (tmp_path / "a.onnx").exists()


SIX = ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        ({"labels": SIX[:2]}, "2 labels for 6 classes"),
        ({"labels": [*SIX[:5], "a"]}, "two labels are the same"),
        ({"labels": [*SIX[:5], 1]}, "a label is no text"),
        ({"inputs": ["frames"]}, "which its description lacks"),
        ({"frames": 0}, "--num-frames 0: must be"),
        ({"frames": 5}, "it takes other frames than 5 of 32 px"),
        ({"extraction": ["size"]}, "extraction is no table of settings"),
    ],
)
def test_a_description_that_does_not_fit_its_file_is_one_line(
    exported_run, sample_cache, tmp_path, edited, words
):
    changed = onnx.load(exported_run[0] / "last.onnx")
    for each in changed.metadata_props:
        each.value = json.dumps(edited.get(each.key, json.loads(each.value)))
    onnx.save(changed, tmp_path / "a.onnx")
    assert words in refused("predict", tmp_path / "a.onnx", sample_cache)


def test_what_is_missing_or_damaged_is_one_line(small_run, sample_cache, tmp_path):
    def line(run, *flags):
        return refused("predict", run, sample_cache, *flags)

    call = f"make it with `train export {small_run}"
    assert f"no file {small_run / 'last.onnx'}; {call}`" in line(small_run, "--runtime", "onnx")
    best = line(small_run, "--runtime", "int8", "--checkpoint", "best")
    assert f"no file {small_run / 'best.int8.onnx'}; {call} --quantize int8 --checkpoint best`" in best
    assert f"no file {tmp_path / 'b.onnx'}" in line(tmp_path / "b.onnx")
    assert "the small model has no file for --runtime onnx" in line("default", "--runtime", "onnx")
    assert "computed on the CPU" in line(small_run, "--runtime", "onnx", "--device", "cuda")
    (tmp_path / "a.onnx").write_bytes(b"no model")
    assert "is damaged, or not written by `train export`" in line(tmp_path / "a.onnx")
    assert "no such run" in refused("export", tmp_path / "none")
    line = refused("export", small_run, "--out", "/proc/a.onnx")
    assert "--out /proc/a.onnx: " in line and "give a file in a folder that you can write" in line
    assert "must end in .onnx" in refused("export", small_run, "--out", tmp_path / "a.pt")
    assert "needs --format onnx" in refused("export", small_run, "--format", "torch", "--quantize", "int8")
    other = ("--quantize", "int8", "--out", small_run / "last.onnx")
    assert "looks for the onnx file there; choose another name" in refused("export", small_run, *other)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.onnx"]


def test_onnxruntime_writes_nothing_about_its_use(exported_run, sample_cache, cli, tmp_path):
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    outcome = cli("train", "predict", exported_run[0] / "last.onnx", sample_cache, **home)
    assert outcome.returncode == 0, outcome.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_a_killed_export_leaves_in_the_temporary_folder_the_next_one_removes(
    small_run, program, tmp_path
):
    def files():
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    call = [program("train"), "export", small_run, "--quantize", "int8", "--out", tmp_path.parent / "a.onnx"]
    start = partial(subprocess.Popen, call, env={**os.environ, "TMPDIR": str(tmp_path)})
    with start() as process:
        while not files():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert files()
    with start() as process:
        assert process.wait(300) == 0
    assert not files()


def test_missing_packages_are_named(small_run, cli, tmp_path):
    """A real process in which onnxscript cannot be found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'onnxscript' else find(name, *more)\n"
    )
    outcome = cli("train", "export", small_run, PYTHONPATH=str(tmp_path))
    assert outcome.returncode == 1
    assert outcome.stderr == "train: ONNX needs onnxscript, an extra: pip install '.[export]'\n"
