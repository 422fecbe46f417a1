#!/usr/bin/python3
"""A plain PyTorch training loop, for comparison with Canopy's trainer.

fp32, NCHW, one thread, the data already in memory as normalised tensors. The network is that of
cell_network.cc. Prints one JSON object with images_per_second and params.
"""

import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional


class ReluConvNorm(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(functional.relu(x)))


class Cell(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.edge01 = ReluConvNorm(channels, channels, 3, 1)
        self.edge12 = ReluConvNorm(channels, channels, 3, 1)
        self.edge03 = ReluConvNorm(channels, channels, 1, 1)
        self.edge23 = ReluConvNorm(channels, channels, 3, 1)

    def forward(self, node0):
        node1 = self.edge01(node0)
        node2 = node0 + self.edge12(node1)
        return self.edge03(node0) + node1 + self.edge23(node2)


class Reduction(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = ReluConvNorm(inputs, outputs, 3, 2)
        self.second = ReluConvNorm(outputs, outputs, 3, 1)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x):
        return self.second(self.first(x)) + self.shortcut(x)


def network(classes):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16),
        Cell(16), Reduction(16, 32), Cell(32), Reduction(32, 64), Cell(64),
        nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--steps", type=int, default=24)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(1)
    images = torch.randn(4096, 1, 28, 28)
    labels = torch.randint(0, 10, (4096,))
    model = network(10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    criterion = nn.CrossEntropyLoss()
    begin = 0.0
    for step in range(arguments.warmup + arguments.steps):
        if step == arguments.warmup:
            begin = time.perf_counter()
        at = step * arguments.batch % (len(images) - arguments.batch)
        optimizer.zero_grad()
        loss = criterion(model(images[at:at + arguments.batch]), labels[at:at + arguments.batch])
        loss.backward()
        optimizer.step()
        loss.item()
    seconds = time.perf_counter() - begin
    print(json.dumps({"images_per_second": arguments.steps * arguments.batch / seconds,
                      "params": sum(p.numel() for p in model.parameters()),
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
