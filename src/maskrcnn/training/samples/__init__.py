"""Training samples: augmentation, copy-paste, the seeded stream and its loader."""
