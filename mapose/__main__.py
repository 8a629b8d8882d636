"""``python -m mapose``, where the command itself is not on the path."""

from mapose.cli import main

if __name__ == "__main__":
    main()
