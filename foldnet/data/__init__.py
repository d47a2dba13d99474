"""Datasets that live on the device as bytes, and their augmentation in whole batches."""
