"""The exercises of notebook 10, the debugging clinic: each patient's and each instrument's module brings its own.

`instruments` and `instruments_of_score` have the instruments that a learner builds, `clinic_structure` the patients
whose attention or initialization is ill, `clinic_data` those whose batches or loss, `clinic_learning` those whose
training loop, `clinic_scoring` those whose score, precision, resuming or telling.
"""

from course.checks.clinic_data import *  # noqa: F403
from course.checks.clinic_data import __all__ as data
from course.checks.clinic_learning import *  # noqa: F403
from course.checks.clinic_learning import __all__ as learning
from course.checks.clinic_scoring import *  # noqa: F403
from course.checks.clinic_scoring import __all__ as scoring
from course.checks.clinic_structure import *  # noqa: F403
from course.checks.clinic_structure import __all__ as structure
from course.checks.instruments import *  # noqa: F403
from course.checks.instruments import __all__ as instruments
from course.checks.instruments_of_score import *  # noqa: F403
from course.checks.instruments_of_score import __all__ as of_score

__all__ = [*instruments, *of_score, *structure, *data, *learning, *scoring]
