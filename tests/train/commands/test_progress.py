"""What a terminal shows while a run trains."""

import io

from made_up import cache, clip, training
from rich.console import Console

from dfer.train.commands.progress import training_progress


def test_the_live_line_shows_no_figures_before_the_first_step(tmp_path):
    source = cache(tmp_path, "made", [clip("happy", 0), clip("sad", 1)])
    prepared = training(source, "quick", {"image_size": 32, "num_frames": 2, "depth": 1})
    terminal = io.StringIO()
    with training_progress(Console(file=terminal, force_terminal=True, width=80), prepared):
        shown = terminal.getvalue()
    assert "epoch 1/20" in shown and "first step" in shown and "nan" not in shown
