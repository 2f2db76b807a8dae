"""Checks that answer back: one module a notebook, one function an exercise.

In a notebook, `from course.checks import nb01` and then `nb01.merge_pair(merge_pair)`. How they are written
is told in `course.checks.exercise` and in docs/writing_notebooks.md.
"""
