"""Speed, memory and cost: measured beside peers, and planned before a run."""
