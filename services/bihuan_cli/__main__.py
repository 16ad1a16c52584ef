"""Entry point of the `bihuan` command."""

from bihuan_cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="bihuan")


if __name__ == "__main__":
    main()
