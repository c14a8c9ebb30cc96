"""One standalone program for each step of the workflow: arguments in, nothing else of weight."""
