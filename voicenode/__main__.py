"""`python -m voicenode`: the command line."""

from voicenode.cli import main

if __name__ == "__main__":
    main()
