"""Judging a trained model: forecasts, baselines, metrics with intervals, plots and the report.

The order of things: `plan` checks what was asked for; `forecasts` runs the model over the test sequences and
writes forecasts.nc; `scoring` reads it back in chunks, beside the `baselines`, and reduces every forecast to
a few numbers (`statistics`), from which `metrics` and `bootstrap` make scores with intervals; `curves`,
`maps` and `report` show them. Only `forecasts` needs TensorFlow, to run the model.
"""
