#!/usr/bin/env python3
"""A trainer in PyTorch with an operator of its own, blur_pool.

    canopy run campaign.yaml --trainer ./trainer.py

It speaks the trainer protocol (docs/trainer_protocol.md) and builds what network graphs of space.yaml have
(docs/network_graph.md). An operator more is an entry of OPERATORS.
"""

import gzip
import hashlib
import json
import math
import os
import random
import select
import socket
import struct
import sys
import time

import torch
from torch import nn
from torch.nn import functional

BUILD = "anti-aliased-1"


# The network: a module for each node of the graph.

class BlurPool(nn.Module):
    """Each channel's convolution with a binomial filter, at every `stride`-th pixel."""

    def __init__(self, channels, kernel, stride):
        super().__init__()
        row = torch.tensor([math.comb(kernel - 1, i) for i in range(kernel)], dtype=torch.float32)
        weight = torch.outer(row, row) / row.sum() ** 2
        self.register_buffer("weight", weight.repeat(channels, 1, 1, 1), persistent=False)
        self.channels, self.stride = channels, stride
        before = (kernel - 1) // 2
        self.padding = (before, kernel - 1 - before) * 2

    def forward(self, x):
        padded = functional.pad(x, self.padding, mode="replicate")
        return functional.conv2d(padded, self.weight, stride=self.stride, groups=self.channels)


def conv2d(a, inputs):
    return nn.Conv2d(inputs[0][0], a["out_channels"], a["kernel"], a["stride"], a["padding"], a["dilation"],
                     a["groups"], a["bias"])


OPERATORS = {
    "conv2d": conv2d,
    "batch_norm": lambda a, inputs: nn.BatchNorm2d(inputs[0][0], a["eps"], a["momentum"], a["affine"]),
    "relu": lambda a, inputs: nn.ReLU(),
    "global_avg_pool": lambda a, inputs: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "linear": lambda a, inputs: nn.Linear(inputs[0][0], a["features"], a["bias"]),
    "blur_pool": lambda a, inputs: BlurPool(inputs[0][0], a["kernel"], a["stride"]),
}


class Refused(Exception):
    """The end of a job, with its class."""

    def __init__(self, failure, message):
        super().__init__(message)
        self.failure = failure


class Network(nn.Module):
    def __init__(self, graph):
        super().__init__()
        self.nodes, self.output = graph["nodes"], graph["output"]
        self.steps = nn.ModuleDict()
        for index, node in enumerate(self.nodes[1:], 1):
            if node["op"] not in OPERATORS:
                raise Refused("INVALID_CANDIDATE",
                              f"trainer.py has no operator '{node['op']}'; it knows {', '.join(OPERATORS)}")
            shapes = [self.nodes[i]["shape"] for i in node["inputs"]]
            self.steps[str(index)] = OPERATORS[node["op"]](node["attributes"], shapes)

    def forward(self, images, check=False):
        values = [images]
        for index, node in enumerate(self.nodes[1:], 1):
            values.append(self.steps[str(index)](*(values[i] for i in node["inputs"])))
            if check and list(values[-1].shape[1:]) != node["shape"]:
                raise Refused("INVALID_CANDIDATE",
                              f"{node['op']}: expected an output of {node['shape']}, as the space file's rule says, "
                              f"found {list(values[-1].shape[1:])}")
        return values[self.output]


# The data: the IDX files of MNIST and its relatives.

def read_idx(path):
    opener = open if os.path.exists(path) else gzip.open
    with opener(path if opener is open else path + ".gz", "rb") as file:
        data = file.read()
    sizes = struct.unpack(f">{data[3]}I", data[4:4 + 4 * data[3]])
    return torch.frombuffer(bytearray(data[4 + 4 * data[3]:]), dtype=torch.uint8).reshape(sizes)


def read_part(dataset, part):
    folder = dataset["path"] or f"/usr/share/datasets/{dataset['name']}"
    try:
        images = read_idx(f"{folder}/{part}-images-idx3-ubyte").unsqueeze(1).float() / 255
        return images, read_idx(f"{folder}/{part}-labels-idx1-ubyte").long()
    except (OSError, EOFError, ValueError) as error:
        raise Refused("DATA", f"{folder}: {error}") from error


# Training, for every purpose of a job.

class Job:
    def __init__(self, job, connection):
        self.job, self.connection = job, connection
        torch.manual_seed(int(job["seeds"]["initialization"]))
        self.network = Network(job["graph"])
        with torch.no_grad():
            self.network.eval()(torch.zeros(2, *job["graph"]["nodes"][0]["shape"]), check=True)

    def run(self):
        purpose, metrics = self.job["purpose"], {}
        result = {"params": sum(p.numel() for p in self.network.parameters())}
        if purpose in ("TEST", "MEASURE") and self.job.get("weights_in"):
            self.network.load_state_dict(load_weights(self.job["weights_in"]))
        if purpose == "TEST":
            self.connection.send("started", total_steps=0)
            images, labels = read_part(self.job["dataset"], "t10k")
            accuracy, loss, result["correct"] = self.evaluate(images, labels)
            metrics, result["total"] = {"test_accuracy": accuracy, "test_loss": loss}, len(labels)
        elif purpose == "MEASURE":
            metrics = self.measure()
        else:
            metrics = self.train(result)
        if purpose == "FINAL":
            result["weights"] = save_weights(self.job["weights_out"], self.network.state_dict())
        self.connection.send("result", metrics=metrics, trainer_build=BUILD,
                             dataset_digest=self.job["dataset"]["digest"], **result)

    def train(self, result):
        job, recipe = self.job, self.job["recipe"]
        images, labels = read_part(job["dataset"], "train")
        order = random.Random(int(job["split"]["seed"])).sample(range(len(labels)), len(labels))
        count = job["split"]["validation_count"]
        validation, training = torch.tensor(order[:count]), torch.tensor(order[count:])
        per_epoch = len(training) // recipe["batch_size"]
        total = job["epochs"] * per_epoch
        if job["max_steps"]:
            total = min(total, job["max_steps"])
        self.connection.send("started", total_steps=total)
        optimizer = self.optimizer(recipe)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, total, recipe))
        generator = torch.Generator().manual_seed(int(job["seeds"]["data_order"]))
        step, best, metrics, began = 0, 0.0, {}, time.monotonic()
        while step < total:
            losses = []
            self.network.train()
            drawn = torch.randperm(len(training), generator=generator)[:per_epoch * recipe["batch_size"]]
            for batch in drawn.split(recipe["batch_size"]):
                if step == total:
                    break
                chosen = training[batch]
                loss = functional.cross_entropy(self.network(images[chosen]), labels[chosen],
                                                label_smoothing=recipe["label_smoothing"])
                if not math.isfinite(loss.item()):
                    raise Refused("DIVERGED",
                                  f"the training loss became {loss.item()} after step {step} of {total}")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
                step += 1
                if step % 20 == 0:
                    self.connection.send("measurement", step=step, metrics={"train_loss": losses[-1]})
                self.connection.check_stop()
            metrics["train_loss"] = sum(losses) / len(losses)
            if job["purpose"] != "PROXY":
                accuracy, loss, result["correct"] = self.evaluate(images[validation], labels[validation])
                best, result["total"] = max(best, accuracy), count
                metrics.update(val_accuracy=accuracy, val_loss=loss, best_val_accuracy=best)
                self.connection.send("measurement", step=step, metrics=metrics)
        seconds = time.monotonic() - began
        result.update(steps=step, train_ms=int(seconds * 1000),
                      images_per_second=step * recipe["batch_size"] / seconds)
        return metrics

    def optimizer(self, recipe):
        weights = [p for p in self.network.parameters() if p.dim() > 1 or recipe["decay_all"]]
        others = [p for p in self.network.parameters() if not (p.dim() > 1 or recipe["decay_all"])]
        groups = [{"params": weights, "weight_decay": recipe["weight_decay"]},
                  {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        if recipe["optimizer"] == "adamw":
            return torch.optim.AdamW(groups, recipe["learning_rate"], betas=(recipe["momentum"], 0.999))
        momentum = recipe["momentum"]
        return torch.optim.SGD(groups, recipe["learning_rate"], momentum, nesterov=momentum > 0)

    def evaluate(self, images, labels):
        self.network.eval()
        correct, loss = 0, 0.0
        with torch.no_grad():
            for some, truth in zip(images.split(500), labels.split(500)):
                logits = self.network(some)
                correct += (logits.argmax(1) == truth).sum().item()
                loss += functional.cross_entropy(logits, truth, reduction="sum").item()
                self.connection.check_stop()
        return correct / len(labels), loss / len(labels), correct

    def measure(self):
        self.connection.send("started", total_steps=0)
        how, times = self.job["measure"], []
        images = torch.full((how["batch"], *self.job["graph"]["nodes"][0]["shape"]), 0.5)
        self.network.eval()
        with torch.no_grad():
            for _ in range(how["warmup"] + how["iterations"]):
                began = time.perf_counter()
                self.network(images)
                times.append((time.perf_counter() - began) * 1000)
                self.connection.check_stop()
        times = sorted(times[how["warmup"]:])
        name = f"latency_libtorch_fp32_b{how['batch']}_t{how['threads']}_cpu"
        return {f"{name}_p{p}_ms": times[math.ceil(len(times) * p / 100) - 1] for p in (50, 95, 99)}


def rate_at(step, total, recipe):
    """A linear rise, then the schedule, as parts of the highest rate."""
    warmup = max(1, int(recipe["warmup_fraction"] * total))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress, "constant": 1,
            "step": 1 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01}[recipe["schedule"]]


# Weights as safetensors: nothing in such a file is ever run.

def save_weights(path, state):
    header, parts, offset = {}, [], 0
    for name, tensor in state.items():
        data = tensor.to(torch.float32).contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + b"".join(parts)
    with open(path, "wb") as file:
        file.write(content)
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def load_weights(path):
    with open(path, "rb") as file:
        content = file.read()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    state = {}
    for name, entry in json.loads(content[8:start]).items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        values = torch.frombuffer(bytearray(content[begin:end]), dtype=torch.float32)
        state[name] = values.reshape(entry["shape"])
    return state


# The protocol: JSON lines on a socket that the agent has opened.

class Stopped(Exception):
    pass


class Connection:
    def __init__(self, number):
        self.socket = socket.socket(fileno=number)
        self.lines, self.rest, self.ids = [], b"", {}

    def send(self, kind, **fields):
        self.socket.sendall(json.dumps({"type": kind, **self.ids, **fields}).encode() + b"\n")

    def receive(self):
        """The next message; None when the agent has closed the connection."""
        while not self.lines:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            *self.lines, self.rest = (self.rest + data).split(b"\n")
        return json.loads(self.lines.pop(0))

    def check_stop(self):
        while self.lines or select.select([self.socket], [], [], 0)[0]:
            message = self.receive()
            if message is None:
                sys.exit(0)
            if message["type"] == "stop" and message["attempt_id"] == self.ids["attempt_id"]:
                raise Stopped(message.get("reason", ""))


def serve(connection):
    connection.send("hello", version=1)
    while (message := connection.receive()) is not None:
        if message["type"] != "job":
            continue
        connection.ids = {"attempt_id": message["attempt_id"], "fence": message["fence"]}
        try:
            if message["numeric_mode"] != "fp32":
                raise Refused("INVALID_CANDIDATE", "trainer.py computes in fp32: give numeric_mode: fp32")
            Job(message, connection).run()
        except Stopped as stop:
            connection.send("stop", reason=str(stop))
        except Refused as refused:
            connection.send("failure", **{"class": refused.failure, "message": str(refused)})
        except MemoryError as error:
            connection.send("failure", **{"class": "OUT_OF_MEMORY", "message": str(error)})


def main():
    if "--version" in sys.argv:
        print(json.dumps({"trainer_build": BUILD, "libtorch_version": torch.__version__,
                          "protocol_version": 1, "operators": ["blur_pool"]}))
        return
    torch.set_num_threads(1)
    serve(Connection(int(os.environ["CANOPY_TRAINER_FD"])))


if __name__ == "__main__":
    main()
