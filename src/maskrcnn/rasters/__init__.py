"""Images that are read by region: slides, GeoTIFFs and other TIFFs, and ordinary images. Needs no torch."""
