"""Moving MNIST: from digits, or the published array of sequences, to a data set as training reads it."""
