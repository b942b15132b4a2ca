"""Reads what a run of `sortie train` leaves: how it went, and the logits of every exit. Needs Python alone.

    python3 read_run.py runs/mine
"""

import json
import math
import struct
import sys
from array import array
from pathlib import Path


def read_safetensors(path):
    """Arrays of a safetensors file by name, each as (shape, values): a length, a header in JSON, then the numbers."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    codes = {"F32": "f", "F64": "d", "I32": "i", "I64": "q", "U8": "B"}
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = (8 + length + at for at in entry["data_offsets"])
            arrays[name] = (entry["shape"], array(codes[entry["dtype"]], data[first:last]))
    return arrays


folder = Path(sys.argv[1])
for line in (folder / "metrics.jsonl").read_text().splitlines():
    row = json.loads(line)
    if row["kind"] == "evaluation":
        shares = " / ".join(f"{100 * one['accuracy']:.1f}" for one in row["exits"])
        print(f"epoch {row['epoch']}: validation accuracy of the exits {shares} %")

arrays = read_safetensors(folder / "logits.test.safetensors")
(samples, exits, classes), logits = arrays["logits"]
labels = arrays["labels"][1]
print(f"{samples} test samples, {exits} exits, {classes} classes")
for exit in range(exits):
    right = 0
    sureness = 0.0
    for i in range(samples):
        at = (i * exits + exit) * classes
        row = logits[at : at + classes]
        top = max(row)
        right += row.index(top) == labels[i]
        sureness += 1 / sum(math.exp(z - top) for z in row)
    print(f"exit {exit + 1}: {100 * right / samples:.1f} % right, {100 * sureness / samples:.1f} % sure on average")
