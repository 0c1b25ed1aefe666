"""Where results go: one run a place, files that are whole or not there, folders that say when they are unfinished."""
