"""Wrong repairs of the patients whose attention or initialization is ill."""
