"""The Slicer scene: volumes out, results in, on MRML nodes alone; no window, no worker, the scene is passed in."""
