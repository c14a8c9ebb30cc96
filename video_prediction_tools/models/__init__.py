"""One file a model, one registry, shared layers in models/layers/. Nothing here knows of files."""
