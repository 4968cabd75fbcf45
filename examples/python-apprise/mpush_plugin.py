"""The protocol half of an mpush channel in Python: the handshake, the calls of
the core, one stream for all traffic, and the end of the process. Copy it, with
schema.py and mpush_plugin.binpb, beside your own channel; it knows nothing of
any service. It needs grpcio and protobuf, of any version since 2022.

A channel is a subclass of Channel, and main is serve(MyChannel()).

It keeps routes with a prefetch of 1, the default: the core then gives one
message at a time for each receiver.
"""

import json
import logging
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import schema

COOKIE_KEY = "MPUSH_PLUGIN"
COOKIE_VALUE = "b1d97e3c5f0a4826ae7346d80c2f95be"
DEBUG = "MPUSH_PLUGIN_DEBUG"  # run by hand: the socket at which to wait for a core that has "reattach"
PROTOCOL = 1
MAX_ENVELOPES = 256  # in a frame that is sent
MAX_BATCH_BYTES = 256 << 10  # likewise, unless one envelope alone has more
MAX_ERROR_CHARS = 500
DEFAULT_DRAIN = 5.0  # seconds
LAST_DRAIN = 2.0  # seconds, for a channel whose core is gone

log = logging.getLogger("mpush")


class Channel:
    """What an author writes. All methods but describe have a default."""

    # How many messages are delivered at once, each to another receiver.
    workers = 16

    def describe(self):
        """Returns a dict with name, version, description, schema (of the
        section, as a dict), roles and statuses (dicts with word and meaning)."""
        raise NotImplementedError

    def configure(self, section, channel):
        """Keeps its section, which fits the schema and has its defaults, and the
        name that the operator gave it. Returns Diagnostics. No other effect."""
        return []

    def declare(self, host):
        """Returns the DeclaredRoutes that the section names."""
        return []

    def start(self, host):
        """Opens what it listens on and returns addresses for the log."""
        return []

    def deliver(self, delivery):
        """Sends one message to one receiver and returns what became of it, made
        by acked, handed_off, retry, rejected or gone. Called in a thread of its
        own, for one receiver one call at a time. An exception is a retry."""
        return rejected("the plugin takes no messages")

    def health(self):
        """Returns "" or why it works badly."""
        return ""

    def stop(self):
        """Closes what it has opened."""


class Delivery:
    """One message for one receiver."""

    def __init__(self, message, route):
        self.message = message  # pb.Message
        self.receiver = route.receiver
        self.address = route.address
        self.attempt = route.attempt
        # Set when the result does not matter any more.
        self.cancelled = threading.Event()


# Outcomes. Errors are for the operator: no secrets, no message text.


def acked():
    """The receiver itself has it."""
    return pb.Outcome(kind=1)


def handed_off():
    """Somebody else's service has it."""
    return pb.Outcome(kind=2)


def retry(error, after_ms=0):
    """Later again, not before after_ms; 0 leaves it to the route's policy."""
    return pb.Outcome(kind=RETRY, error=_clip(error), retry_after_ms=after_ms)


def rejected(error):
    """This message can never be delivered: it becomes a dead letter."""
    return pb.Outcome(kind=4, error=_clip(error))


def gone(error):
    """This route is no more: it is dropped until the channel starts again."""
    return pb.Outcome(kind=5, error=_clip(error))


RETRY = 3


def error(path, message):
    """A Diagnostic that keeps the channel from starting."""
    return pb.Diagnostic(severity=1, path=path, message=message)


def warning(path, message):
    """A Diagnostic for the log."""
    return pb.Diagnostic(severity=2, path=path, message=message)


class _Messages:
    """The messages of a package, as attributes, made from the descriptors at
    run time: so one file fits every version of protobuf."""

    def __init__(self, pool, package):
        self._pool, self._package, self._made = pool, package, {}

    def __getattr__(self, name):
        if name not in self._made:
            descriptor = self._pool.FindMessageTypeByName(f"{self._package}.{name}")
            if hasattr(message_factory, "GetMessageClass"):
                self._made[name] = message_factory.GetMessageClass(descriptor)
            else:  # protobuf before 4.22
                self._made[name] = message_factory.MessageFactory(self._pool).GetPrototype(descriptor)
        return self._made[name]


def _load(path):
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as f:
        files.ParseFromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


_pool = _load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mpush_plugin.binpb"))
pb = _Messages(_pool, "mpush.plugin.v1")


def serve(channel):
    """Makes the process a channel; it never returns."""
    life = _Life(channel)
    by_hand = os.environ.get(COOKIE_KEY) != COOKIE_VALUE
    if by_hand and not os.environ.get(DEBUG):
        sys.exit('this is an mpush channel plugin; it is not run by hand: name it in the "plugins" section of mpush\'s config.json')
    versions = os.environ.get("PLUGIN_PROTOCOL_VERSIONS", str(PROTOCOL)).split(",")
    if str(PROTOCOL) not in versions:
        sys.exit(f"the core speaks the protocol versions {versions}, this plugin {PROTOCOL}")
    if by_hand:
        socket = os.path.abspath(os.environ[DEBUG])
        if os.path.exists(socket):
            os.remove(socket)
        os.umask(0o077)
    else:
        directory = os.environ.get("PLUGIN_UNIX_SOCKET_DIR")
        if not directory:  # a host other than mpush
            directory = life.own_directory = tempfile.mkdtemp()
        socket = os.path.join(directory, "plugin.sock")
        handshake = os.dup(1)
        os.dup2(2, 1)  # what is printed goes to the log
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # the core says when to stop
    _log_as_json()

    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((
        _service("mpush.plugin.v1.Plugin", {
            "Describe": life.describe, "Configure": life.configure, "Exchange": life.exchange,
            "Start": life.start, "Health": life.health, "Stop": life.stop,
        }),
        _service("plugin.GRPCController", {"Shutdown": life.shutdown}),
        _service("grpc.health.v1.Health", {"Check": _check}),
    ))
    server.add_insecure_port("unix:" + socket)
    server.start()
    if by_hand:
        print(f'waiting for mpush; the plugin\'s entry: {{ "reattach": {json.dumps(socket)}, "config": {{…}} }}', file=sys.stderr)
        server.wait_for_termination()
    os.write(handshake, f"1|{PROTOCOL}|unix|{socket}|grpc\n".encode())
    os.close(handshake)
    while os.read(0, 4096):
        pass
    life.over()  # the end of stdin is that of the core


def _service(name, methods):
    handlers = {}
    for method in _pool.FindServiceByName(name).methods:
        make = grpc.unary_unary_rpc_method_handler
        if method.name == "Exchange":
            make = grpc.stream_stream_rpc_method_handler
        package, _, message = method.input_type.full_name.rpartition(".")
        request = getattr(_Messages(_pool, package), message)
        handlers[method.name] = make(methods[method.name], request.FromString, lambda response: response.SerializeToString())
    return grpc.method_handlers_generic_handler(name, handlers)


def _check(request, context):
    if request.service not in ("", "plugin"):
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return _Messages(_pool, "grpc.health.v1").HealthCheckResponse(status=1)


class _Route:
    """A receiver's route: the newest generation that was evicted, and the lease
    that counts now."""

    def __init__(self):
        self.ended = 0
        self.lease = None
        self.busy = False  # a thread delivers on it


class _Lease:
    def __init__(self, message, route):
        self.mid, self.generation = message.mid, route.generation
        self.delivery = Delivery(message, route)
        self.begun = False


class _Life:
    """One life of a channel: the calls of its core, in their order, and what it
    holds between them. It is the host that declare and start are given."""

    def __init__(self, channel):
        self.channel = channel
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)  # a route is idle
        self.configured = False
        self.draining = False
        self.drained = threading.Event()
        self.asked = False  # to stop, by the core
        self.ending = False
        self.outbox = None  # envelopes, then None; or an exception that ends the stream
        self.declared = futures.Future()
        self.requests = {}  # by id: futures of answers
        self.last_request = 0
        self.routes = {}  # by receiver; one for each that ever got a message
        self.pool = None
        self.own_directory = None  # of the socket, to be removed

    # The calls of the core.

    def describe(self, request, context):
        manifest = dict(self.channel.describe())
        section = json.dumps(manifest.pop("schema")).encode()
        return pb.DescribeResponse(protocol=PROTOCOL, config_schema=section, **manifest)

    def configure(self, request, context):
        with self.lock:
            if self.configured:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "configured before")
            self.configured = True
        rules = self.channel.describe()["schema"]
        try:
            section = json.loads(request.config or b"{}")
        except ValueError as err:
            return pb.ConfigureResponse(diagnostics=[error("", f"not JSON: {err}")])
        found = [error(path, message) for path, message in schema.check(rules, section)]
        if not found:
            found = self.channel.configure(schema.with_defaults(rules, section), request.channel)
        return pb.ConfigureResponse(diagnostics=found)

    def exchange(self, frames, context):
        with self.lock:
            refused = not self.configured or self.outbox is not None or self.draining
            if not refused:
                self.outbox = queue.SimpleQueue()
        if refused:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "one stream, after Configure")
        self.pool = futures.ThreadPoolExecutor(self.channel.workers)
        context.add_callback(self._stream_ended)
        _begin(self._read, frames)
        _begin(self._declare)
        while True:
            envelope = self.outbox.get()
            batch, size = [], 0
            while isinstance(envelope, pb.PluginEnvelope):
                batch.append(envelope)
                size += envelope.ByteSize()
                if len(batch) == MAX_ENVELOPES or size >= MAX_BATCH_BYTES:
                    break
                try:
                    envelope = self.outbox.get_nowait()
                except queue.Empty:
                    break
            if batch:
                yield pb.PluginFrame(envelopes=batch)
            if envelope is None:
                return
            if isinstance(envelope, Exception):
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, _clip(f"declare: {envelope}"))

    def start(self, request, context):
        try:
            self.declared.result()
            return pb.StartResponse(endpoints=self.channel.start(self))
        except Exception as err:
            cannot = isinstance(err, OSError) and err.errno in (13, 98, 99)  # EACCES, EADDRINUSE, EADDRNOTAVAIL
            return pb.StartResponse(error=_clip(err), cannot_listen=cannot)

    def health(self, request, context):
        reason = self.channel.health()
        return pb.HealthResponse(healthy=not reason, reason=_clip(reason))

    def stop(self, request, context):
        self.asked = True
        self._drain(request.deadline_ms / 1000 or DEFAULT_DRAIN)
        if self.outbox is not None:
            self.outbox.put(None)  # after the last outcome
        _after(LAST_DRAIN, self.over)  # a core that forgets its goodbye
        return pb.StopResponse()

    def shutdown(self, request, context):
        _after(0.1, self.over)  # once this is answered
        return _Messages(_pool, "plugin").Empty()

    # The end.

    def over(self):
        """Ends the process: the core has stopped it, or is gone."""
        with self.lock:
            first, self.ending = not self.ending, True
            for request in self.requests.values():
                request.set_exception(ConnectionError("the core is gone"))
            self.requests.clear()
        if not first:
            threading.Event().wait()  # whoever came first ends it
        if not self.asked:
            _after(LAST_DRAIN, self._exit)
            self._cancel_all()
            self._drain(LAST_DRAIN)
        self._exit()

    def _exit(self):
        if self.own_directory:
            shutil.rmtree(self.own_directory, ignore_errors=True)
        os._exit(0)  # without waiting for threads that hang

    def _stream_ended(self):
        self.outbox.put(None)
        # After Stop the process stays for the core's goodbye: the answer to Stop
        # may still be on its way.
        if not self.asked:
            _begin(self.over)

    def _drain(self, seconds):
        """Begins no delivery any more and waits for those that run. Those that
        take longer than half of the time are cut off: the core leases them
        again."""
        with self.lock:
            first, self.draining = not self.draining, True
        if not first:
            self.drained.wait(seconds)
            return
        self._wait_idle(seconds / 2)
        self._cancel_all()
        self._wait_idle(seconds / 4)
        stopping = _begin(self.channel.stop)
        stopping.join(seconds / 8)
        self.drained.set()

    def _wait_idle(self, seconds):
        with self.changed:
            self.changed.wait_for(lambda: not any(r.busy for r in self.routes.values()), seconds)

    def _cancel_all(self):
        with self.lock:
            for route in self.routes.values():
                if route.lease:
                    route.lease.delivery.cancelled.set()

    # The stream.

    def _read(self, frames):
        try:
            for frame in frames:
                for envelope in frame.envelopes:
                    self._receive(envelope)
        except grpc.RpcError:
            pass  # the stream has ended

    def _receive(self, envelope):
        """Acts on one envelope. A body that it does not know is skipped."""
        kind = envelope.WhichOneof("body")
        body = getattr(envelope, kind) if kind else None
        if kind == "deliver":
            for route in body.routes:
                self._lease(body.message, route)
        elif kind == "recall":
            self._release(body.receiver, lambda lease: (lease.mid, lease.generation) == (body.mid, body.generation))
        elif kind == "evict":
            with self.lock:
                self.routes.setdefault(body.receiver, _Route()).ended = body.generation
            self._release(body.receiver, lambda lease: lease.generation <= body.generation)
        elif kind == "command":
            refusal = pb.Error(code=5, message="the plugin answers no commands")
            self._send(command_reply=pb.CommandReply(id=body.id, error=refusal))
        elif kind:
            with self.lock:
                request = self.requests.pop(body.request_id, None)
            if request:
                request.set_result(body)

    def _send(self, **envelope):
        self.outbox.put(pb.PluginEnvelope(**envelope))

    def request(self, **body):
        """Asks the core for something by its envelope's name, as in
        request(publish=pb.Publish(…)), and returns the answer. A refusal is a
        RuntimeError."""
        answer = futures.Future()
        with self.lock:
            if self.ending:
                raise ConnectionError("the core is gone")
            self.last_request += 1
            number = self.last_request
            self.requests[number] = answer
        self._send(request_id=number, **body)
        result = answer.result()
        if result.error.code:
            raise RuntimeError(result.error.message)
        return result

    def _declare(self):
        try:
            self.request(declare=pb.Declare(routes=self.channel.declare(self)))
            self.declared.set_result(None)
        except Exception as err:
            log.error("declare failed: %s", err)
            self.declared.set_exception(err)
            self.outbox.put(err)

    # Deliveries.

    def _lease(self, message, route):
        with self.lock:
            if self.draining:
                return
            mine = self.routes.setdefault(route.receiver, _Route())
            if route.generation <= mine.ended:
                return  # stale
            if mine.lease and (mine.lease.mid, mine.lease.generation) == (message.mid, route.generation):
                return  # its call has not ended yet
            if mine.lease:
                mine.lease.delivery.cancelled.set()
            mine.lease = _Lease(message, route)
            if mine.busy:
                return  # a call that was given up: its thread goes on with this
            mine.busy = True
        self.pool.submit(self._run, mine)

    def _run(self, route):
        while True:
            with self.lock:
                lease = route.lease
                if not lease or lease.begun or self.draining:
                    route.busy = False
                    self.changed.notify_all()
                    return
                lease.begun = True
            delivery = lease.delivery
            try:
                result = self.channel.deliver(delivery)
                if not isinstance(result, pb.Outcome):
                    raise TypeError("deliver returned no outcome")
            except Exception as err:
                log.exception("delivery failed, receiver %s, mid %d", delivery.receiver, lease.mid)
                result = retry(type(err).__name__)
            with self.lock:
                if route.lease is not lease:
                    continue  # recalled, or void
                if delivery.cancelled.is_set() and result.kind == RETRY:
                    continue  # cut off: this says nothing
                route.lease = None
                result.receiver, result.generation, result.mid = delivery.receiver, lease.generation, lease.mid
                self._send(outcome=result)

    def _release(self, receiver, which):
        """Gives a lease up without an outcome."""
        with self.lock:
            route = self.routes.get(receiver)
            if route and route.lease and which(route.lease):
                route.lease.delivery.cancelled.set()
                route.lease = None


def _begin(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def _after(seconds, function):
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


def _clip(text):
    return str(text)[:MAX_ERROR_CHARS].encode("utf-8", "replace").decode()


class _JSONLines(logging.Formatter):
    """Lines that the core takes over with their level and fields."""

    LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}

    def format(self, record):
        line = {"level": self.LEVELS.get(record.levelname, record.levelname), "msg": record.getMessage()}
        if record.name != log.name:
            line["logger"] = record.name
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log_as_json():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
