"""`train export`: files that give the network's answers elsewhere, say what they need, and are never half-written."""

import dataclasses
import json
import shutil

import made_up
import numpy as np
import onnxruntime
import pytest
import torch
from made_up import refused
from safetensors import safe_open
from small_networks import small

from dfer import train
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.errors import UserError
from dfer.train.config import load_config
from dfer.train.engine import checkpoint
from dfer.train.models.registry import build
from dfer.train.use import exported, traced
from dfer.train.use.traced import Probabilities, given_fields, made_up_input

QUICK = ("vit", "densenet")  # with a fixed number of frames, and with any


@pytest.fixture(scope="module")
def exported_run(small_run, tmp_path_factory):
    """A copy of the small run with last.onnx in it, and what the command printed."""
    run = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(small_run, run)
    return run, made_up.printed("export", run)


def probabilities(run, cache, **options):
    found = train.load(run, **options).predict(cache)
    return np.array([[*each.probabilities.values()] for each in found])


def test_an_onnx_file_gives_the_answers_of_the_network(exported_run, sample_cache):
    run, printed = exported_run
    eager, onnx = probabilities(run, sample_cache), probabilities(run, sample_cache, runtime="onnx")
    assert np.abs(eager - onnx).max() < 1e-5
    assert printed["check"]["clips"] == 6 and printed["check"]["same_labels"]
    assert printed["check"]["difference"] < 1e-5


def test_the_file_alone_is_enough_to_predict(exported_run, sample_cache, tmp_path):
    run, _ = exported_run
    alone = shutil.copy(run / "last.onnx", tmp_path / "alone.onnx")
    expected = probabilities(run, sample_cache, runtime="onnx")
    assert np.array_equal(probabilities(alone, sample_cache), expected)
    result = made_up.printed("predict", alone, sample_cache)
    assert len(result["clips"]) == 6 and result["labels"] == list(train.load(run).labels)


def test_other_programs_find_what_they_need_in_the_file(exported_run):
    run, _ = exported_run
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
    run, _ = exported_run
    saved = checkpoint.load(run / "last.pt")
    network = checkpoint.restore(saved)
    session = onnxruntime.InferenceSession(run / "last.onnx")
    names = [each.name for each in session.get_inputs()]
    for clips in (1, 2, 5):
        given = made_up_input(network, saved.config, clips, saved.config.data.num_frames)
        (found,) = session.run(None, {name: getattr(given, name).numpy() for name in names})
        with torch.no_grad():
            expected = Probabilities(network)(**given_fields(given)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_torch_program_gives_the_answers_of_the_network(small_run, tmp_path):
    printed = made_up.printed("export", small_run, "--format", "torch", "--out", tmp_path / "a.pt2")
    assert printed["check"]["difference"] < 1e-5
    texts = dict.fromkeys(field.name for field in dataclasses.fields(exported.About))
    program = torch.export.load(tmp_path / "a.pt2", extra_files=texts)
    saved = checkpoint.load(small_run / "last.pt")
    assert json.loads(texts["labels"]) == list(saved.labels)
    network = checkpoint.restore(saved)
    for clips in (1, 3):
        given = given_fields(made_up_input(network, saved.config, clips, saved.config.data.num_frames))
        with torch.no_grad():
            torch.testing.assert_close(program.module()(**given), Probabilities(network)(**given))


def test_safetensors_has_the_weights_and_the_same_facts(small_run, tmp_path):
    made_up.done("export", small_run, "--format", "safetensors", "--out", tmp_path / "a.safetensors")
    saved = checkpoint.load(small_run / "last.pt")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert json.loads(file.metadata()["labels"]) == list(saved.labels)
        assert {*file.keys()} == {*saved.model}
        assert all(torch.equal(file.get_tensor(name), value) for name, value in saved.model.items())


def test_int8_states_what_it_costs(small_run, tmp_path):
    printed = made_up.printed("export", small_run, "--quantize", "int8", "--out", tmp_path / "a.onnx")
    measured = printed["quantized"]
    assert measured["clips"] == 6 and measured["size"] < 0.4 and measured["speed"] > 0
    assert all(0 <= share <= 1 for share in (*measured["war"], *measured["uar"], measured["same_labels"]))
    assert len(train.load(tmp_path / "a.onnx").labels) == 6


def test_without_the_cache_made_up_input_is_checked(small_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "caches": [str(tmp_path / "gone")]}))
    outcome = made_up.done("export", run, "--format", "torch")
    assert "checked on made-up input" in outcome.stdout and (run / "last.pt2").is_file()


@pytest.mark.parametrize("model", QUICK)
def test_networks_of_the_registry_export_for_any_batch(model):
    config = load_config("quick", small(model))
    network = build(config.model, config.network, config.task(7, DLIB18), 0).eval()
    program, any_frames = traced.trace(network, config)
    assert any_frames == (model == "densenet")
    session = exported.OnnxSession(traced.as_onnx(program, {}), 7)
    for clips, frames in ((1, 4), (2, 4), *(((1, 7),) if any_frames else ())):
        given = made_up_input(network, config, clips, frames)
        with torch.no_grad():
            expected = Probabilities(network)(**given_fields(given))
        torch.testing.assert_close(session(given).clip.exp(), expected, atol=1e-5, rtol=0)


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


def test_what_is_missing_or_damaged_is_one_line(small_run, sample_cache, tmp_path):
    line = refused("predict", small_run, sample_cache, "--runtime", "onnx")
    assert f"no file {small_run / 'last.onnx'}; make it with `train export {small_run} --format onnx`" in line
    (tmp_path / "a.onnx").write_bytes(b"no model")
    assert "is damaged, or not written by `train export`" in refused(
        "predict", tmp_path / "a.onnx", sample_cache
    )
    assert "no such run" in refused("export", tmp_path / "none")
    assert "must end in .onnx" in refused("export", small_run, "--out", tmp_path / "a.pt")
    assert "needs --format onnx" in refused("export", small_run, "--format", "torch", "--quantize", "int8")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.onnx"]


def test_missing_packages_are_named(small_run, cli, tmp_path):
    """A real process in which onnxscript cannot be found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'onnxscript' else find(name, *more)\n"
    )
    outcome = cli("train", "export", small_run, PYTHONPATH=str(tmp_path))
    assert outcome.returncode == 1
    assert outcome.stderr == "train: ONNX needs onnxscript, an extra: pip install '.[export]'\n"
