"""The version of the package, which artifacts, checkpoints and reports carry."""

VERSION = "0.1.0"
