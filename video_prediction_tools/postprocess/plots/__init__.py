"""Plots of the results: a file for each kind, one style for all (`style`); each writes whole files and no text."""
