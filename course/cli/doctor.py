"""Say what this machine has for the course, what will be slow and what is missing, and what to do about it.

[x] is here, [ ] is not here and not needed, [?] is worth a look, [!] is missing. The exit code is 1 where something
is missing that the course needs, else 0. It takes a few seconds and changes nothing.

example:
  python -m course doctor
"""

import argparse

from course import doctor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace) -> int:
    findings = doctor.examine()
    print(doctor.report(findings))
    return 0 if doctor.can_run(findings) else 1
