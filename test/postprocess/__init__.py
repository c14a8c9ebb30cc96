"""Tests of postprocess (a package, so that they can share the writers in conftest.py)."""
