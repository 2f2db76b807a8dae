"""Checks that answer back: one module a notebook, one function an exercise.

In a notebook, `from course.checks import nb01` and then `merge = nb01.merge.use(my_merge)`. How they are written
is told in `course.checks.exercise` and in docs/writing_notebooks.md.
"""
