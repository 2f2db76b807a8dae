"""Loops around `helpers.alignment`: answers in groups (GRPO), and in pairs (DPO, a reward model).

What is asked for and how an answer is judged is a `course.alignment.answers.Task`, and may be anything. Notebook 15.
"""
