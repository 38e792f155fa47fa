"""`python -m train`, which is what torchrun starts."""

from train.cli import main

main(prog_name="train")
