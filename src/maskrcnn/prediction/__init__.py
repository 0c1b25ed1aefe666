"""From images to results by any network: batching, prefetch, one option record a call. Needs no torch."""
