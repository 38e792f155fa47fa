import pytest

from dfer.schemas.support.errors import UserError
from dfer.train.config import PRESETS, RecipeConfig, TrainConfig, load_config


def test_the_paper_preset_is_the_papers():
    config = load_config("paper")
    recipe, network, data = config.recipe, config.network, config.data
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (80, 64, 1e-3)
    assert (recipe.betas, recipe.milestones, recipe.decay) == ((0.9, 0.99), (40, 60), 0.1)
    assert (network.depth, network.heads, recipe.frame_weight) == (3, 8, 0.2)
    assert (data.num_frames, data.image_size) == (16, 112)
    assert config == TrainConfig()


def test_every_preset_that_is_shipped_loads():
    assert {path.stem for path in PRESETS.glob("*.toml")} >= {"paper", "quick"}
    for path in PRESETS.glob("*.toml"):
        assert load_config(path.stem) == load_config(str(path))


def test_overrides_go_before_the_preset():
    config = load_config("quick", {"epochs": 3, "heads": 6})
    assert (config.recipe.epochs, config.network.heads, config.data.image_size) == (3, 6, 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[network]\nheds = 8", r"\[network\] has no field heds"),
        ("[nets]\nheads = 8", "unknown section nets"),
        ("[network]\nheads = 'eight'", "--heads 'eight': a value of type int is needed"),
        ("[network]\nheads = true", "--heads True: a value of type int"),
        ("[network]\nheads = 0", "--heads 0: it must be between 1 and 100"),
        ("[network]\nfusion = 'sum'", "--fusion sum: it must be one of structure, mean, lstm"),
        ("[network]\nstage_strides = [1, 2]", "--stage-strides 1,2: four numbers"),
        ("[network]\nstage_strides = 3", "--stage-strides 3: a list of numbers"),
        ("[recipe]\nlearning_rate = nan", "--learning-rate nan: it must be between"),
        (f"[recipe]\nlearning_rate = 1{'0' * 400}", "--learning-rate: the number is too large"),
        (f"[recipe]\nseed = 1{'0' * 5000}", "is not TOML"),
        (f"a = {'[' * 3000}{']' * 3000}", "is not TOML"),
        ("[recipe]\nbetas = [0.9]", "--betas 0.9: two numbers"),
        ("heads = ", "is not TOML"),
    ],
)
def test_a_wrong_preset_is_one_line_that_names_the_place(tmp_path, content, message):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_config(str(tmp_path / "mine.toml"))
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(
        UserError, match=r"no preset papr: give one of paper, quick, strong, or a \.toml file"
    ):
        load_config("papr")


def test_whole_numbers_are_taken_where_a_float_is_needed():
    assert RecipeConfig(learning_rate=1).learning_rate == 1.0
