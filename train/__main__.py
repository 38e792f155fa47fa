"""`python -m dfer.train`."""

from dfer.train.cli import main

main(prog_name="train")
