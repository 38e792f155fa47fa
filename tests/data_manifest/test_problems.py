import polars as pl

from dfer.data_manifest.problems import report


def test_a_line_has_the_count_the_total_and_a_few_examples():
    def lines(count, total=None):
        found = pl.Series([f"{k}.mp4" for k in range(count)], dtype=pl.String)
        return [problem.line for problem in report("missing", "listed but not on disk", found, total)]

    assert lines(0) == []
    assert lines(1, total=14) == ["listed but not on disk: 1 of 14 (0.mp4)"]
    assert lines(3) == ["listed but not on disk: 3 (0.mp4, 1.mp4, 2.mp4)"]
    assert lines(4) == ["listed but not on disk: 4 (0.mp4, 1.mp4, 2.mp4, …)"]
