"""Triton's Python backend, business logic scripting: each stage is a model of its own, asked for the images that are still undecided."""

import os
import sys

import triton_python_backend_utils as pb_utils

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np
from cascade import prepare, read_about, run_stages


# Stages take as many at once; see their config.pbtxt.
BATCH = 64


class TritonPythonModel:
    """IMAGES uint8 [N, H, W, C] to CLASSES, EXITS (from 0) and SCORES [N]."""

    def initialize(self, args):
        self.about = read_about(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cascade.json"))

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        try:
            x = prepare(self.about, pb_utils.get_input_tensor_by_name(request, "IMAGES").as_numpy())
            firsts = range(0, max(1, len(x)), BATCH)
            parts = [run_stages(self.about, self.run, x[first : first + BATCH], first) for first in firsts]
        except Exception as error:  # whatever it is, it is this request's alone
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
        found = zip(("CLASSES", "EXITS", "SCORES"), zip(*parts))
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.concatenate(values)) for name, values in found])

    def run(self, j, x):
        outputs = ["logits"] if j == len(self.about["stages"]) - 1 else ["logits", "features"]
        request = pb_utils.InferenceRequest(
            model_name=self.about["stages"][j]["file"],
            requested_output_names=outputs,
            inputs=[pb_utils.Tensor("input", np.ascontiguousarray(x))],
        )
        response = request.exec()
        if response.has_error():
            raise RuntimeError(response.error().message())
        found = [pb_utils.get_output_tensor_by_name(response, name) for name in outputs]
        values = [tensor.as_numpy() if tensor.is_cpu() else from_device(tensor) for tensor in found]
        return values[0], values[1] if len(values) > 1 else None


def from_device(tensor):
    """A tensor that the stage left on a GPU; needs PyTorch in the server's image."""
    from torch.utils.dlpack import from_dlpack

    return from_dlpack(tensor.to_dlpack()).cpu().numpy()
