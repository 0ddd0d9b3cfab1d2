"""A receiver of OTLP over gRPC, of grpcio and the official stubs of opentelemetry-proto.

otlp_grpc.py PORT [CERTIFICATE KEY]: prints a JSON line for each request, with the metadata that tests look at. Port 0 is
any free one; the first line tells it. The metadata `x-test-status` lets a request fail with this status, once with
`x-test-retry: once`; `x-test-reject` rejects this many items of each request.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

failed = set()

output = threading.Lock()


def print_line(value):
    # Requests come on several threads, and print writes a text and the end of its line apart.
    with output:
        print(json.dumps(value), flush=True)


def receive(signal, request, context, response, partial, field):
    metadata = dict(context.invocation_metadata())
    wanted = metadata.get("x-test-status")
    if wanted and not (metadata.get("x-test-retry") == "once" and signal in failed):
        failed.add(signal)
        code = getattr(grpc.StatusCode, wanted)
        details = status_pb2.Status(code=code.value[0], message="so be it")
        if "x-test-delay" in metadata:
            info = error_details_pb2.RetryInfo()
            info.retry_delay.nanos = int(metadata["x-test-delay"])
            details.details.add().Pack(info)
        context.set_trailing_metadata([("grpc-status-details-bin", details.SerializeToString())])
        context.abort(code, "so be it: \u00fc %41")
    print_line({"signal": signal, "metadata": metadata, "request": MessageToDict(request)})
    rejected = int(metadata.get("x-test-reject", 0))
    return response(partial_success=partial(**{field: rejected, "error_message": "too many"})) if rejected else response()


class Metrics(metrics_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        return receive("metrics", request, context, metrics.ExportMetricsServiceResponse,
                       metrics.ExportMetricsPartialSuccess, "rejected_data_points")


class Traces(traces_grpc.TraceServiceServicer):
    def Export(self, request, context):
        return receive("traces", request, context, traces.ExportTraceServiceResponse,
                       traces.ExportTracePartialSuccess, "rejected_spans")


class Logs(logs_grpc.LogsServiceServicer):
    def Export(self, request, context):
        return receive("logs", request, context, logs.ExportLogsServiceResponse,
                       logs.ExportLogsPartialSuccess, "rejected_log_records")


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    metrics_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    traces_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    logs_grpc.add_LogsServiceServicer_to_server(Logs(), server)
    address = f"127.0.0.1:{sys.argv[1]}"
    if len(sys.argv) > 2:
        certificate, key = (open(path, "rb").read() for path in sys.argv[2:4])
        port = server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port(address)
    server.start()
    print_line({"port": port})
    server.wait_for_termination()


main()
