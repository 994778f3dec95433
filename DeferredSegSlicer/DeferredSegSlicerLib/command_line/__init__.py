"""The commands of `deferredseg`, one file each; only those that run a network import torch."""
