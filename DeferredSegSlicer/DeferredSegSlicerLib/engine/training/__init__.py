"""Training of deferral bundles: configuration, the loop, checkpoints, several processes, logs."""
