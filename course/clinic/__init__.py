"""The clinic of notebook 10: small training programs with planted faults, and the round that is made of them."""
