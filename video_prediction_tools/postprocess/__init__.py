"""Forecasts, baselines, metrics, plots, report."""
