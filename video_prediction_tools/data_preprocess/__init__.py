"""Region cut, statistics, pickles and TFRecords."""
