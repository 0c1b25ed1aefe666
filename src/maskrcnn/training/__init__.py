"""Training: recipe, loop, state, logs."""
