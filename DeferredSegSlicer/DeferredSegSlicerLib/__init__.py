"""Segmentation with deferral: the model decides the voxels it should, and hands the others to human experts."""

__version__ = "0.1.0"
