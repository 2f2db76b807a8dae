"""Behind `python -m course grade`: reading what was handed in, running it apart, marking it, the tables."""
