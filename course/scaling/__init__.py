"""Experiments on scale, each of many small runs: what is trained, and one command that trains it and keeps the results.

`python -m course scaling` makes data/recorded/scaling/, which notebook 13 draws and fits.
"""
