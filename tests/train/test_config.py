import re

import pytest

from dfer.schemas.support.errors import UserError
from dfer.train.config import PRESETS, RecipeConfig, TrainConfig, load_config


def test_the_paper_preset_has_every_value_that_the_paper_prints():
    config = load_config("paper")
    recipe, network = config.recipe, config.network
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (80, 64, 1e-3)
    assert (recipe.optimiser, recipe.betas) == ("adam", (0.9, 0.99))
    assert (recipe.schedule, recipe.milestones, recipe.decay) == ("steps", (40, 60), 0.1)
    assert (network.depth, network.heads, network.frame_weight) == (3, 8, 0.2)
    assert config.data.num_frames == 16


def test_the_paper_preset_is_the_default():
    assert load_config("paper") == TrainConfig()


def test_every_value_of_the_paper_preset_has_its_source_and_ours_are_in_the_readmes_list():
    """Values marked "ours" or "not in the paper" are explained in train/models/README.md."""
    written = (PRESETS / "paper.toml").read_text()
    values = dict(re.findall(r"^(\w+) = .*?# (.*)$", written, re.MULTILINE))
    assert values.keys() == {*re.findall(r"^(\w+) = ", written, re.MULTILINE)}
    _, listed = (
        (PRESETS.parent / "models" / "README.md").read_text().split("## What is the paper's and what is ours")
    )
    ours = {name for name, source in values.items() if source.startswith(("ours", "not in the paper"))}
    assert {"image_size", "adjacency", "expression_scores"} < ours
    assert [name for name in ours if f"`{name}`" not in listed] == []


def test_every_built_in_preset_loads():
    assert {path.stem for path in PRESETS.glob("*.toml")} >= {"paper", "quick"}
    for path in PRESETS.glob("*.toml"):
        assert load_config(path.stem) == load_config(str(path))


def test_overrides_replace_the_presets_values():
    config = load_config("quick", {"epochs": 3, "heads": 6})
    assert (config.recipe.epochs, config.network.heads, config.data.image_size) == (3, 6, 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[network]\nheds = 8", r"\[network\] has no field heds"),
        ("[nets]\nheads = 8", "unknown section nets"),
        ("[network]\nheads = 'eight'", '--heads "eight": must be an integer'),
        ("[network]\nheads = true", "--heads true: must be an integer"),
        ("[network]\nheads = 0", "--heads 0: must be between 1 and 100"),
        ("[network]\nfusion = 'sum'", "--fusion sum: must be one of structure, mean, lstm"),
        ("[network]\nstage_strides = [1, 2]", "--stage-strides 1,2: give four numbers"),
        ("[network]\nstage_widths = [64]", "--stage-widths 64: give four numbers"),
        ("[network]\nstage_strides = 3", "--stage-strides 3: must be a list of numbers"),
        ("[recipe]\nlearning_rate = nan", "--learning-rate nan: must be between"),
        ("[recipe]\nbetas = [0.9]", "--betas 0.9: give two numbers"),
        ("heads = ", "invalid TOML"),
    ],
)
def test_an_invalid_preset_is_a_one_line_error_that_names_the_place(tmp_path, content, message):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_config(str(tmp_path / "mine.toml"))
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(UserError) as caught:
        load_config("papr")
    known = ", ".join(sorted(path.stem for path in PRESETS.glob("*.toml")))
    assert str(caught.value) == f"no preset papr; give one of {known}, or a .toml file"


def test_integers_are_accepted_for_floats():
    assert RecipeConfig(learning_rate=1).learning_rate == 1.0


def test_a_presets_own_network_stays_if_its_model_is_named_too(tmp_path):
    preset = tmp_path / "mine.toml"
    preset.write_text('model = "former-dfer"\n[network]\ndepth = 1\n')
    assert load_config(str(preset), {"model": "former-dfer"}).network.depth == 1
    assert load_config(str(preset), {"model": "stt"}).model == "stt"
    assert load_config("strong", {"model": "paper"}).network == load_config("paper").network
