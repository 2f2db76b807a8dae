"""The one error type of the course: a message written for the person who reads it."""


class CourseError(ValueError):
    """Something is wrong with what was asked for; the message says what to do about it.

    The command line prints the message as one line and leaves with exit code 2. A notebook shows it as any other error.
    """
