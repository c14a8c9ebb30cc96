"""Prompts, machine profiles and rendering of runscripts. Nothing here imports TensorFlow."""
