"""Names of other libraries for what is here: a program moves over by changing its imports."""
