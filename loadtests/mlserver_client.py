"""
Asks a running MLServer to score rows over gRPC; started in MLServer's own environment.

`mlserver_client.py PORT ROWS.npy FOUND.json`. Rows go in raw contents, which cost least, in requests of several sizes;
the best size counts. One request is in flight at a time: the server has one core, and so has this process.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import grpc
import numpy as np
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

SIZES = (50, 500, 5_000)
READY_S = 60.0
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def main() -> None:
    """Score every row once a size, and write what each size took."""
    port, rows_file, found_file = sys.argv[1:]
    rows = np.load(rows_file)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=UNLIMITED) as channel:
        stub = GRPCInferenceServiceStub(channel)
        _wait(stub)
        first = _ask(stub, rows[:100])
        took = {size: _run(stub, rows, size) for size in SIZES}
    found = {
        "us_per_row": {str(size): seconds / len(rows) * 1e6 for size, seconds in took.items()},
        "package": f"mlserver {version('mlserver')}, mlserver-lightgbm {version('mlserver-lightgbm')}",
        "first": first.tolist(),
    }
    Path(found_file).write_text(json.dumps(found))


def _wait(stub: GRPCInferenceServiceStub) -> None:
    ends_s = time.monotonic() + READY_S
    while True:
        try:
            if stub.ModelReady(pb.ModelReadyRequest(name="response"), timeout=2).ready:
                return
        except grpc.RpcError:
            if time.monotonic() > ends_s:
                raise
        time.sleep(0.1)


def _run(stub: GRPCInferenceServiceStub, rows: np.ndarray, size: int) -> float:
    parts = [rows[first : first + size] for first in range(0, len(rows), size)]
    _ask(stub, parts[0])
    started_s = time.perf_counter()
    for part in parts:
        _ask(stub, part)
    return time.perf_counter() - started_s


def _ask(stub: GRPCInferenceServiceStub, rows: np.ndarray) -> np.ndarray:
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="FP64", shape=rows.shape)
    request = pb.ModelInferRequest(model_name="response", inputs=[tensor], raw_input_contents=[rows.tobytes()])
    answer = stub.ModelInfer(request, timeout=60)
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[0], dtype=np.float64)
    return np.array(answer.outputs[0].contents.fp64_contents)


if __name__ == "__main__":
    main()
