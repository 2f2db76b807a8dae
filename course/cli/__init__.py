"""The commands of `python -m course`, a module each with `add_arguments(parser)` and `run(arguments)`."""
