"""Writing results: locks on outputs, atomic files, and markers of unfinished data sets."""
