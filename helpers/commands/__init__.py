"""The commands of `python -m helpers`, a module each: `HELP`, `add_arguments(parser)`, `run(arguments)`."""
