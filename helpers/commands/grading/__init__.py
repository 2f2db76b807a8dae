"""Behind `python -m helpers grade`: reading what was handed in, running it apart, marking it, the tables."""
