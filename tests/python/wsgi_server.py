"""A server that the OpenTelemetry SDK instruments: it joins the traces of its requests.

wsgi_server.py ENDPOINT: prints its port as a JSON line, and sends a span of each request that is sampled to a receiver of
OTLP over gRPC at ENDPOINT. /bad responds 500, all other paths 200.
"""

import json
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def shop(environ, start_response):
    status = "500 Internal Server Error" if environ["PATH_INFO"] == "/bad" else "200 OK"
    # A span of its own below that of the request, as the work of a real server has.
    with trace.get_tracer("shop").start_as_current_span("query"):
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def main():
    provider = TracerProvider(resource=Resource.create({"service.name": "shop-server"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1], insecure=True)))
    trace.set_tracer_provider(provider)
    server = make_server("127.0.0.1", 0, OpenTelemetryMiddleware(shop), Server, Handler)
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()


main()
