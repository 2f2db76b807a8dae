"""The exercises of notebook 10, the debugging clinic: each patient's and each instrument's module brings its own.

`instruments` and `instruments_of_score` have the instruments that a learner builds; the modules `clinic_...` the
repairs: of attentions, of what else makes a model, of batches and losses, of training loops, of scores, of telling.
"""

from course.checks.clinic_attention import *  # noqa: F403
from course.checks.clinic_attention import __all__ as attention
from course.checks.clinic_data import *  # noqa: F403
from course.checks.clinic_data import __all__ as data
from course.checks.clinic_learning import *  # noqa: F403
from course.checks.clinic_learning import __all__ as learning
from course.checks.clinic_scoring import *  # noqa: F403
from course.checks.clinic_scoring import __all__ as scoring
from course.checks.clinic_steps import *  # noqa: F403
from course.checks.clinic_steps import __all__ as steps
from course.checks.clinic_structure import *  # noqa: F403
from course.checks.clinic_structure import __all__ as structure
from course.checks.clinic_telling import *  # noqa: F403
from course.checks.clinic_telling import __all__ as telling
from course.checks.clinic_unasked import *  # noqa: F403
from course.checks.clinic_unasked import __all__ as unasked
from course.checks.instruments import *  # noqa: F403
from course.checks.instruments import __all__ as instruments
from course.checks.instruments_of_score import *  # noqa: F403
from course.checks.instruments_of_score import __all__ as of_score

__all__ = [*instruments, *of_score, *attention, *structure, *data, *learning, *steps, *scoring, *telling, *unasked]
