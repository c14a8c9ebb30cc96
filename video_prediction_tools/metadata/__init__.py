"""Experiment ids, names and JSON files: what the steps know of each other. Nothing here imports numpy or TensorFlow."""
