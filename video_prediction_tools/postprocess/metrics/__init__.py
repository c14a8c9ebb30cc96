"""Metrics: each family in a file of its own, with its statistics and what is made of them; docs/metrics.md lists them.

A metric is split in two (as in WeatherBench-X): its *statistics* turn the fields of each forecast into one number,
given the weights of the grid points, and are averaged over init_times in any order and any chunks; its last step turns
the mean statistics into the value. Statistics that several metrics share are worked out once.

To add a metric, write its class (and a `Statistic`, where no present one fits) and name it in `registry.py`.
"""
