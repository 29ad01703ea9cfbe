"""Layers that draw no random numbers when they are made: a checkpoint has theirs."""

from torch import nn


class Linear(nn.Linear):
    """A linear layer."""

    def reset_parameters(self) -> None:
        pass


class Conv1d(nn.Conv1d):
    """A convolution."""

    def reset_parameters(self) -> None:
        pass


class Embedding(nn.Embedding):
    """A table; PyTorch's own would import its compiler to draw numbers, which takes four seconds."""

    def reset_parameters(self) -> None:
        pass
