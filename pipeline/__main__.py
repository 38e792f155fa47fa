"""`python -m dfer.pipeline`."""

from dfer.pipeline.cli import main

main(prog_name="pipeline")
