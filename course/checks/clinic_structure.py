"""The repairs of patients whose attention or initialization is ill (notebook 10)."""

__all__ = []
