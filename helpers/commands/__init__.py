"""The commands of `python -m helpers`, a module each with `add_arguments(parser)` and `run(arguments)`."""
