"""Prompts, machine profiles, rendering and submitting of runscripts. Nothing here imports numpy or TensorFlow."""
