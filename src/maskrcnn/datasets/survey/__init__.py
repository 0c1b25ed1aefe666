"""What is in a data set, in numbers and pictures; how to split it; the settings that follow."""
