"""`python -m maskrcnn VERB`, and so `torchrun --nproc-per-node 2 -m maskrcnn train DATA`."""

from __future__ import annotations

from maskrcnn.cli.main import main

if __name__ == "__main__":
    main()
