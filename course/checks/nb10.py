"""The exercises of notebook 10, the debugging clinic: each patient's and each instrument's module brings its own.

`clinic_structure` has the patients whose attention or initialization is ill.
"""

from course.checks.clinic_structure import *  # noqa: F403
from course.checks.clinic_structure import __all__ as structure

__all__ = [*structure]
