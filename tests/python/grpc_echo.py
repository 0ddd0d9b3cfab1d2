"""A server of gRPC, of grpcio: its replies have what it received.

grpc_echo.py PORT CALLS PROTO… [reflect-v1alpha | reflect-v1] [streams-N] [CERTIFICATE KEY]: with reflection of that version, at most N streams on a connection; PORT 0 is any free one, and the first line that it prints tells it. Each
call is a line of the file CALLS: its method, its metadata, its connection, and whether its request came compressed. A stream has another
line at its end: how many messages it sent and received, and whether its caller cancelled it.
"""

import json
import os
import sys
import threading
import time
from concurrent import futures

import grpc

port, calls, *rest = sys.argv[1:]
protos = [path for path in rest if path.endswith(".proto")]
reflection = [word for word in rest if word.startswith("reflect-")]
most = [int(word.removeprefix("streams-")) for word in rest if word.startswith("streams-")]
certificate = [path for path in rest if not path.endswith(".proto") and not path.startswith(("reflect-", "streams-"))]
sys.path.extend(sorted({os.path.dirname(path) for path in protos}))
lock = threading.Lock()
number = 0
meetings = {}


def note(context, method):
    global number
    metadata = {}
    for key, value in context.invocation_metadata():
        metadata[key] = value.hex() if isinstance(value, bytes) else value
    with lock:
        number += 1
        with open(calls, "a") as file:
            file.write(json.dumps({"method": method, "metadata": metadata, "peer": context.peer()}) + "\n")
        return metadata, number


def answer(messages, request, context, method):
    metadata, own = note(context, method)
    left = context.time_remaining()
    if request.together:
        with lock:
            meeting = meetings.setdefault(request.together, threading.Barrier(request.together))
        meeting.wait(30)
    time.sleep(request.sleep_ms / 1000)
    context.set_trailing_metadata((("x-trailing", request.text.encode("ascii", "replace").decode()),))
    if metadata.get("x-compress"):
        context.set_compression(grpc.Compression.Gzip)
    # After the compression, which is part of the initial metadata.
    context.send_initial_metadata((("x-initial", "first"), ("x-initial-bin", b"\x00\x01")))
    if request.code:
        code = next((code for code in grpc.StatusCode if code.value[0] == request.code), grpc.StatusCode.UNKNOWN)
        context.abort(code, f"so be it: {request.text} ü 100%")
    shown = {key: value for key, value in metadata.items() if key.startswith("x-")}
    left_ms = int(min(left, 4e6) * 1000) if left and left < 4e6 else 0
    return messages.Reply(text=request.text, number=own, data=bytes(request.size), request=request, metadata=shown,
                          left_ms=left_ms)


class Stream:
    """The counts of a stream, which are a line of the file of calls at its end."""

    def __init__(self, context, method):
        self.sent = self.received = 0
        self.metadata, self.number = note(context, method)
        self.method = method
        self.is_done = False
        if self.metadata.get("x-compress"):
            context.set_compression(grpc.Compression.Gzip)
        context.add_callback(self.end)

    def end(self):
        with lock, open(calls, "a") as file:
            line = {"ended": self.method, "sent": self.sent, "received": self.received, "cancelled": not self.is_done}
            file.write(json.dumps(line) + "\n")

    def finish(self, context, request):
        context.set_trailing_metadata((("x-trailing", "last"),))
        self.is_done = True
        if request.code:
            code = next((code for code in grpc.StatusCode if code.value[0] == request.code), grpc.StatusCode.UNKNOWN)
            context.abort(code, f"so be it: {request.text} ü 100%")


def watch(messages, request, context):
    stream = Stream(context, "Watch")
    while context.is_active() and (request.endless or stream.sent < request.count):
        if stream.sent:
            time.sleep(request.sleep_ms / 1000)
        stream.sent += 1
        yield messages.Reply(text=request.text, number=stream.sent, data=bytes(request.size))
    if context.is_active():
        stream.finish(context, request)


def talk(messages, requests, context):
    stream = Stream(context, "Talk")
    last = messages.Request()
    for last in requests:
        stream.received += 1
        if last.code:
            break
        time.sleep(last.sleep_ms / 1000)
        for _ in range(last.count or 1):
            stream.sent += 1
            yield messages.Reply(text=last.text, number=stream.received, data=bytes(last.size), request=last)
    # A cancellation ends the requests a moment before the call.
    time.sleep(0.02)
    if context.is_active():
        stream.finish(context, last)


def collect(messages, requests, context):
    stream = Stream(context, "Collect")
    texts, last = [], messages.Request()
    for last in requests:
        stream.received += 1
        texts.append(last.text)
        if last.code:
            break
    stream.finish(context, last)
    stream.sent = 1
    return messages.Reply(text=" ".join(texts), number=stream.received)


def serve_echo(server):
    messages, services = grpc.protos_and_services("grpc_echo.proto")

    class Echo(services.EchoServicer):
        def Say(self, request, context):
            return answer(messages, request, context, "Say")

        def Read(self, request, context):
            return answer(messages, request, context, "Read")

        def Watch(self, request, context):
            yield from watch(messages, request, context)

        def Collect(self, requests, context):
            return collect(messages, requests, context)

        def Talk(self, requests, context):
            yield from talk(messages, requests, context)

    services.add_EchoServicer_to_server(Echo(), server)


def serve_health(server):
    messages, services = grpc.protos_and_services("grpc_health.proto")
    serving = messages.HealthCheckResponse(status=messages.HealthCheckResponse.SERVING)

    class Health(services.HealthServicer):
        def Check(self, request, context):
            if request.service != "echo.v1.Echo":
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return serving

        def Watch(self, request, context):
            yield serving
            while context.is_active():
                time.sleep(0.01)

    services.add_HealthServicer_to_server(Health(), server)


def serve_greeter(server):
    messages, services = grpc.protos_and_services("greeter.proto")

    class Greeter(services.GreeterServicer):
        def Greet(self, request, context):
            note(context, "Greet")
            return messages.GreetReply(text=f"Hello, {request.name}!", length=len(request.name))

    services.add_GreeterServicer_to_server(Greeter(), server)


def serve_reflection(server, version):
    from grpc_reflection.v1alpha import reflection, reflection_pb2

    servicer = reflection.ReflectionServicer(["echo.v1.Echo", "grpc.health.v1.Health", reflection.SERVICE_NAME])
    info = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString)
    # The messages of both versions are the same.
    name = f"grpc.reflection.{version}.ServerReflection"
    handler = grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": info})
    server.add_generic_rpc_handlers((handler,))


def main():
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    limits += [("grpc.max_concurrent_streams", number) for number in most]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=limits)
    for path in protos:
        (serve_echo if path.endswith("grpc_echo.proto") else serve_greeter)(server)
    if any(path.endswith("grpc_echo.proto") for path in protos):
        serve_health(server)
    for word in reflection:
        serve_reflection(server, word.removeprefix("reflect-"))
    address = f"127.0.0.1:{port}"
    if certificate:
        chain, key = (open(path, "rb").read() for path in certificate)
        bound = server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
    else:
        bound = server.add_insecure_port(address)
    server.start()
    print(json.dumps({"port": bound}), flush=True)
    server.wait_for_termination()


main()
