"""AMBS, the Atmospheric Machine learning Benchmarking System."""

__version__ = "0.1.0"
