"""
Every metric of Bihuan, named in one place.

Names say what is counted and in which unit; labels are bounded: methods and codes of the contract, names of
services, never ids of persons, campaigns or requests.
"""

from wsgiref.simple_server import WSGIServer

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

RPC_SERVER_REQUESTS = Counter(
    "bihuan_rpc_server_requests_total", "Calls answered, by method and status code.", ("method", "code")
)
RPC_SERVER_DURATION = Histogram(
    "bihuan_rpc_server_duration_seconds",
    "Time from the arrival of a call to its answer, by method.",
    ("method",),
    buckets=_LATENCY_BUCKETS_S,
)
RPC_CLIENT_REQUESTS = Counter(
    "bihuan_rpc_client_requests_total", "Calls made, after retries, by method and status code.", ("method", "code")
)
RPC_CLIENT_DURATION = Histogram(
    "bihuan_rpc_client_duration_seconds",
    "Time of a call as its maker sees it, retries included, by method.",
    ("method",),
    buckets=_LATENCY_BUCKETS_S,
)
RPC_CLIENT_RETRIES = Counter(
    "bihuan_rpc_client_retries_total", "Attempts after the first one, by called service.", ("service",)
)
READY = Gauge("bihuan_ready", "1 while the service reports SERVING, by service.", ("service",))


def start_metrics_server(port: int, host: str = "127.0.0.1") -> WSGIServer:
    """Serves `/metrics` from a thread of its own; `shutdown()` of the answer ends it. Port 0 lets the system choose."""
    server, _ = start_http_server(port, addr=host)
    return server
