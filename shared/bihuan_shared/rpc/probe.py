"""
`python -m bihuan_shared.rpc.probe HOST:PORT`: ends with 0 when a server there answers SERVING.

For health checks of containers, where nothing but this image's Python is at hand.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 2.0


def serves(target: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether a server answers SERVING within `timeout_s`."""
    with grpc.insecure_channel(target) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: list[str]) -> int:
    """Exit code of the probe; 2 where the target is missing."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m bihuan_shared.rpc.probe HOST:PORT\n")
        return 2
    return 0 if serves(arguments[0]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
