"""How fast a model is on this machine, and which setting to choose."""
