"""Networks of a user's own: from a file as in the README, and from an installed package."""

import re
import shutil
import subprocess
from pathlib import Path

import made_up
import pytest
import torch
from made_up import done, refused
from same_run import assert_same_run

from dfer.schemas.keypoints import DLIB18
from dfer.train.config import load_config, preset_names
from dfer.train.models.registry import build

README = Path(__file__).parents[3] / "train" / "models" / "README.md"
SMALL = (
    *("--preset", "quick", "--image-size", 32, "--num-frames", 2),
    *("--epochs", 2, "--batch-size", 2, "--ema-decay", 0.9),
)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The README's network in mine.py, in the current folder."""
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine.py"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    clips = [made_up.clip("ab"[n % 2], n) for n in range(4)]
    return made_up.cache(tmp_path_factory.mktemp("cache"), "cache", clips)


def train_mine(cache, out, *more):
    done("run", cache, "--model", "mine.py:MyNetwork", "--width", 8, *SMALL, "--out", out, *more)


def test_the_readmes_network_is_described_trained_resumed_evaluated_and_reported(
    mine, cache, tmp_path, monkeypatch
):
    described = done("describe", "--model", "mine.py:MyNetwork", "--width", 8, *SMALL[:6]).stdout
    assert "8×3×7×7" not in described and f"{3 * 49 * 8 + 8 + 8 * 7 + 7:,}" in described
    train_mine(cache, "never")
    train_mine(cache, "first", "--epochs", 1)
    assert f'model = "{mine}:MyNetwork"' in (tmp_path / "never" / "settings.toml").read_text()
    monkeypatch.chdir("/")  # the file is found from everywhere
    for command in (("evaluate", tmp_path / "never", cache), ("report", tmp_path / "never")):
        done(*command)
    assert "attend" in (tmp_path / "never" / "report.html").read_text()


def test_a_run_of_a_users_network_goes_on_after_a_kill_as_if_nothing_had_happened(
    mine, cache, tmp_path, program
):
    train_mine(cache, "never")
    call = ("run", cache, "--model", "mine.py:MyNetwork", "--width", 8, *SMALL, "--out", "killed")
    process = subprocess.Popen([*map(str, (program("train"), *call, "--save-minutes", 0))])
    while not Path("killed/last.pt").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    train_mine(cache, "killed", "--resume")
    assert_same_run(tmp_path / "killed", tmp_path / "never")


def test_the_readme_lists_every_rival_with_its_size():
    rows = re.findall(r"^\| `(.*?)` \|.*? \| (\d+) × (\d+) \| ([\d.]+) M \|", README.read_text(), re.M)
    others = {"paper", "pretrain", "quick", "strong", "lean"}  # the paper's network
    assert [name for name, *_ in rows] == [name for name in preset_names() if name not in others]
    for name, frames, side, millions in rows:
        config = load_config(name)
        assert (config.data.num_frames, config.data.image_size) == (int(frames), int(side))
        with torch.device("meta"):
            network = build(config.model, config.network, config.task(7, DLIB18), seed=0)
        assert sum(each.numel() for each in network.parameters()) == pytest.approx(
            1e6 * float(millions), abs=6e4
        )


def test_a_changed_or_missing_file_is_named(mine, cache, tmp_path):
    train_mine(cache, "run")
    code = mine.read_text()
    mine.write_text(code.replace("nn.ReLU()", "nn.GELU()"))
    line = refused("evaluate", "run", cache)
    assert f"{mine} has changed since the network was trained with it" in line
    call = ("run", cache, "--model", "mine.py:MyNetwork", "--width", 8, *SMALL, "--out", "run", "--resume")
    assert "another version of the model's code" in refused(*call)
    mine.unlink()
    assert (
        f"the file {mine} cannot be read: No such file or directory; correct the path, or put it back"
        in refused("evaluate", "run", cache)
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nosuch", "there is none of this name; give one of c3d, c3d-lstm, ceflnet"),
        ("nosuch.py:MyNetwork", "cannot be read: No such file or directory"),
        ("mine.py:Other", "mine.py has no class Other"),
        ("mine.py:MySettings", "not a class derived from"),
        ("broken.py:MyNetwork", "cannot be run: ZeroDivisionError"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(mine, cache, model, message):
    Path("broken.py").write_text("1 / 0\n")
    assert message in refused("run", cache, "--model", model, "--out", "run")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("self.head", "self.fc"), "no weight's name begins with 'head.'; name the classifier in `heads`"),
        (("width: int", "holdout: int"), "its setting holdout has the name of another flag; rename it"),
        (("width: int", "momentum: int"), "its setting momentum has the name of another flag; rename it"),
        (
            ("super().__init__(task)", "super().__init__(task); 1 / 0"),
            "cannot be built: ZeroDivisionError: division",
        ),
        (("super().__init__(task)", "exit(0)"), "cannot be built: SystemExit: 0"),
        (
            ("        features =", "        1 / 0\n        features ="),
            "it cannot score clips: ZeroDivisionError: div",
        ),
        (
            ("self.head(clips))", "self.head(clips[:1]))"),
            "its scores 'clip' are (1, 2), must be floating-point numbers",
        ),
        (
            ("return Scores(self.head(clips))", "return self.head(clips)"),
            "its `forward` returns a Tensor, not Scores",
        ),
        (
            ("Scores(self.head(clips))", "Scores(self.head(clips), {'x': clips})"),
            "its scores 'x' are (2, 64), must be",
        ),
        (
            ("self.head(clips))", "self.head(clips), {'x': self.head(clips)})"),
            "its `loss_weights` has no 'x'",
        ),
        (
            ('= setting(64, "channels of the map", low=1)', "= 64"),
            "MySettings.width has no flag; write width = setting(DEFAULT, ",
        ),
        (
            ("@dataclass(frozen=True, kw_only=True)\n", ""),
            "put @dataclass(frozen=True, kw_only=True) above MySettings",
        ),
        (("    Config = MySettings\n", ""), "needs `Config`, derived from NetworkSettings, and `source`"),
    ],
)
def test_a_network_that_would_fail_later_is_refused_at_once(mine, cache, change, message):
    mine.write_text(mine.read_text().replace(*change))
    assert message in refused("run", cache, "--model", "mine.py:MyNetwork", *SMALL, "--out", "run")
    assert not Path("run").exists()


def test_scores_that_are_not_numbers_end_a_run(mine, cache):
    mine.write_text(
        mine.read_text().replace(
            "self.head(clips))", "self.head(clips) + (0 if self.training else torch.nan))"
        )
    )
    mine.write_text("import torch\n" + mine.read_text())
    outcome = made_up.train("run", cache, "--model", "mine.py:MyNetwork", *SMALL, "--out", "run")
    assert (
        outcome.exit_code == 1
        and "the network's scores are not numbers (NaN)" in outcome.stderr.splitlines()[-1]
    )


def test_a_users_network_is_timed(mine, cache):
    rows = made_up.printed("benchmark", "--model", "mine.py:MyNetwork", *SMALL[2:6], "--seconds", 0)[
        "measured"
    ]
    assert [row["failure"] for row in rows] == [None] * 4


def test_a_path_with_dots_names_the_same_network(mine, cache, tmp_path):
    (tmp_path / "below").mkdir()
    done("run", cache, "--model", "below/../mine.py:MyNetwork", *SMALL, "--out", "run", "--epochs", 1)
    again = ("run", cache, "--model", "mine.py:MyNetwork", *SMALL, "--out", "run", "--epochs", 1)
    assert "epoch 1/1" not in done(*again).stderr


def test_the_last_model_given_counts(mine, cache):
    described = done("describe", "--model", "nosuch", "--model=mine.py:MyNetwork", "--width", 8)
    assert "head" in described.stdout


def test_a_flag_of_another_network_is_wrong_usage(mine, cache):
    outcome = made_up.train("run", cache, "--model", "mine.py:MyNetwork", "--heads", 4, "--out", "run")
    assert outcome.exit_code == 2 and "--heads" in outcome.stderr


def test_a_network_of_an_installed_package_has_a_name(mine, cache, tmp_path, monkeypatch):
    shutil.move(mine, tmp_path / "their_networks.py")
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[dfer.models]\ntheirs = their_networks:MyNetwork\n")
    monkeypatch.syspath_prepend(tmp_path)
    done("run", cache, "--model", "theirs", "--width", 8, *SMALL, "--out", "run")
    done("evaluate", "run", cache)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 2.0\n")
    assert "theirs, now of theirs 2.0 instead of theirs 1.0, has changed" in refused("evaluate", "run", cache)
    assert "t-esfl, theirs, vit, a preset, or FILE.py:CLASS" in refused(
        "run", cache, "--model", "x", "--out", "other"
    )
