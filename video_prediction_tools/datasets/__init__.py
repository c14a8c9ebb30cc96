"""The files of a data set and the input pipeline: TFRecords to normalised sequences."""
