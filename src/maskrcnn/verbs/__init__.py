"""The verbs: what the command line does, as functions that return what they found and print nothing unless asked."""
