"""Runs the ONNX stages of a cascade (cascade.json and what it names): each stage on the images that are still undecided.

Needs numpy, and onnxruntime unless another way to run a stage is given:

    from cascade import Cascade
    classes, exits, scores = Cascade("folder").classify(images)  # uint8 [N, H, W, C], or normalised float32 [N, C, H, W]

    python cascade.py FOLDER IMAGES.npy ANSWERS.npz
"""

import json
import os
import sys

import numpy as np


def decide(score, logits, temperature, slack=0.0):
    """Of logits [N, C]: answers, scores, and the levels that thresholds are compared with, which keep their digits near certainty.

    The levels are the least that logits may mean that are off by a share `slack` of the largest.
    """
    z = np.asarray(logits, np.float64) / temperature
    n, classes = z.shape
    least = z.min(axis=1)
    if classes == 1:  # which has no rival; a closed exit stays closed to it
        z = np.hstack([z, z - 1e30])
    answers = np.argmax(z, axis=1)
    top = z[np.arange(n), answers]
    others = z[np.arange(z.shape[1])[None, :] != answers[:, None]].reshape(n, z.shape[1] - 1)
    second = others.max(axis=1)
    off = slack * np.maximum(top, -least)
    gap = second - top
    # All but the largest, relative to the second: 1 .. classes - 1, so that no difference to 1 is taken.
    weights = np.exp(others - second[:, None])
    rest = weights.sum(axis=1)
    share = np.exp(gap)
    odds = rest * share
    log_total = np.log1p(odds)
    if score == "maxProb":
        return answers, 1 / (1 + odds), -gap - np.log(rest) - off
    if score == "margin":
        return answers, (1 - share) / (1 + odds), log_total - gap - np.log(rest + 1) - off
    if score in ("entropy", "normalisedEntropy"):
        mass = (weights * (top[:, None] - others)).sum(axis=1)
        slope = np.divide(log_total, odds, out=np.ones(n), where=odds > 0)
        per_second = rest * slope + mass / (1 + odds)
        unit = np.log(max(2, classes)) if score == "normalisedEntropy" else 1.0
        return answers, -share * per_second / unit, -gap - np.log(per_second) - off
    if score == "energy":
        return answers, top + log_total, top + log_total - off
    if score == "maxLogit":
        return answers, top, top - off
    raise ValueError(f"cascade: the score must be a known one; got {score}.")


def run_stages(about, run, images, first=0):
    """Takes prepared images through the stages; run(j, x) gives logits and, but for the last, features. Classes, exits, scores.

    Messages count images from `first` on.
    """
    n = len(images)
    classes, exits, scores = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.float32)
    left, x = np.arange(n), images
    for j, stage in enumerate(about["stages"]):
        if len(left) == 0:
            break
        logits, features = run(j, x)
        with np.errstate(all="ignore"):
            answers, values, levels = decide(about["score"], logits, stage["temperature"], about.get("slack", 0.0))
        strange = np.flatnonzero(np.isnan(levels))
        if len(strange) > 0:
            image = first + left[strange[0]]
            raise ValueError(f"cascade: logits must be numbers; got NaN for image {image} (counted from 0).")
        thresholds = np.asarray(stage["thresholds"] or [-np.inf])
        leaves = levels >= (thresholds[answers] if len(thresholds) > 1 else thresholds[0])
        gone = left[leaves]
        classes[gone], exits[gone], scores[gone] = answers[leaves], j, values[leaves]
        left = left[~leaves]
        if len(left) > 0:
            x = features[~leaves]
    return classes, exits, scores


def prepare(about, images):
    """Images as the first stage takes them: float32 [N, C, H, W]."""
    channels, height, width = about["input"]["shape"]
    images = np.asarray(images)
    if images.dtype == np.uint8:
        if images.ndim != 4 or images.shape[1:] != (height, width, channels):
            raise ValueError(f"cascade: bytes must be [N, {height}, {width}, {channels}]; got {list(images.shape)}.")
        mean, std = (np.asarray(about["input"][name], np.float64) for name in ("mean", "std"))
        return np.ascontiguousarray(((images / 255.0 - mean) / std).transpose(0, 3, 1, 2), np.float32)
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[1:] != (channels, height, width):
        wanted = f"float32 [N, {channels}, {height}, {width}]"
        raise ValueError(f"cascade: images must be uint8, or {wanted}; got {images.dtype} {list(images.shape)}.")
    if not np.isfinite(images).all():
        raise ValueError("cascade: pixels must be finite; got NaN or infinity.")
    return images


def read_about(path):
    """cascade.json."""
    with open(path, encoding="utf-8") as file:
        about = json.load(file)
    if about.get("format") != "sortie-cascade" or about.get("version") != 1:
        got = f"{about.get('format')} {about.get('version')}"
        raise ValueError(f"cascade: {path} must be a sortie-cascade of version 1; got {got}.")
    return about


class Cascade:
    """The stages of a folder, run by onnxruntime."""

    def __init__(self, folder, providers=("CPUExecutionProvider",)):
        import onnxruntime

        self.about = read_about(os.path.join(folder, "cascade.json"))
        files = [os.path.join(folder, stage["file"]) for stage in self.about["stages"]]
        self.sessions = [onnxruntime.InferenceSession(file, providers=list(providers)) for file in files]

    def run(self, j, x):
        """One stage: logits, and features but for the last."""
        names = [output.name for output in self.sessions[j].get_outputs()]
        found = dict(zip(names, self.sessions[j].run(names, {"input": x})))
        return found["logits"], found.get("features")

    def classify(self, images, batch=64):
        """Classes, exits (from 0) and scores of images: uint8 [N, H, W, C], or normalised float32 [N, C, H, W]."""
        images = np.asarray(images)
        firsts = range(0, max(1, len(images)), batch)
        # Floats take four times the room of bytes: a batch at a time.
        lots = ((first, prepare(self.about, images[first : first + batch])) for first in firsts)
        parts = [run_stages(self.about, self.run, x, first) for first, x in lots]
        return tuple(np.concatenate(each) for each in zip(*parts))


if __name__ == "__main__":
    folder, images, answers = sys.argv[1:]
    found = Cascade(folder).classify(np.load(images))
    np.savez(answers, **dict(zip(("classes", "exits", "scores"), found)))
