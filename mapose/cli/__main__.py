"""``python -m mapose.cli``, where the command itself is not on the path."""

from mapose.cli.application import main

if __name__ == "__main__":
    main()
