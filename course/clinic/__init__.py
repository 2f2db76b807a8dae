"""The clinic of notebook 10: its instruments, small programs with planted faults, and the round made of them."""
