"""`train` and `python -m dfer.train`."""

from dfer.schemas.support.start import start


def main() -> None:
    """Run `train`."""
    start("train")


if __name__ == "__main__":
    main()
