"""`pipeline` and `python -m dfer.pipeline`."""

from dfer.schemas.support.start import start


def main() -> None:
    """Run `pipeline`."""
    start("pipeline")


if __name__ == "__main__":
    main()
