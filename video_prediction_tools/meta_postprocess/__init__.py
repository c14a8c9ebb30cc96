"""Comparing experiments: which forecasts are better, and by more than chance?

The order of things: `experiments` reads the results and refuses what cannot be compared; `comparison` puts them side
by side, with skill scores and paired tests; `tables`, `figures` and `report` show it. No forecast is read, no model
loaded.
"""
