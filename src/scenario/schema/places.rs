//! Places for the keys of each noun, for the tests of defaults.
//!
//! Invariant: a noun with defaults has a place, in which its keys are read.

/// A scenario with a place for the keys of a noun: its id, and the YAML with `KEYS` in it.
pub(super) const PLACES: [(&str, &str); 83] = [
    (
        "mqtt",
        "services: { iot: { url: 'mqtt://127.0.0.1', mqtt: { KEYS } } }, \
         workloads: { w: { users: 1, flow: [ { open: true } ] } }",
    ),
    (
        "will",
        "services: MQTT, workloads: { w: { users: 1, \
         flow: [ { open: true, will: { topic: a, KEYS } } ] } }",
    ),
    (
        "send",
        "services: MQTT, workloads: { w: { users: 1, \
         flow: [ { open: true }, { send: a, body: x, KEYS } ] } }",
    ),
    (
        "send",
        "services: AMQP, workloads: { w: { users: 1, \
         flow: [ { open: true }, { send: a, body: x, KEYS } ] } }",
    ),
    (
        "listen",
        "services: MQTT, workloads: { w: { users: 1, \
         flow: [ { open: true }, { listen: a, KEYS } ] } }",
    ),
    (
        "listen",
        "services: AMQP, workloads: { w: { users: 1, \
         flow: [ { open: true }, { listen: a, KEYS } ] } }",
    ),
    (
        "amqp",
        "services: AMQP, workloads: { w: { users: 1, \
         flow: [ { amqp: { declare_queue: a }, KEYS } ] } }",
    ),
    (
        "amqp_operation",
        "services: AMQP, workloads: { w: { users: 1, \
         flow: [ { amqp: { declare_queue: a, KEYS } } ] } }",
    ),
    (
        "amqp_operation",
        "services: AMQP, workloads: { w: { users: 1, \
         flow: [ { amqp: { bind: a, exchange: b, KEYS } } ] } }",
    ),
    (
        "kafka_settings",
        "services: { log: { url: 'kafka://127.0.0.1', kafka: { KEYS } } }, \
         workloads: { w: { users: 1, flow: [ { open: true } ] } }",
    ),
    (
        "send",
        "services: KAFKA, workloads: { w: { users: 1, \
         flow: [ { open: true }, { send: a, body: x, KEYS } ] } }",
    ),
    (
        "listen",
        "services: KAFKA, workloads: { w: { users: 1, \
         flow: [ { open: true }, { listen: a, KEYS } ] } }",
    ),
    (
        "listen",
        "services: KAFKA, workloads: { w: { users: 1, \
         flow: [ { open: true }, { listen: a, consumer_group: g, KEYS } ] } }",
    ),
    (
        "kafka",
        "services: KAFKA, workloads: { w: { users: 1, \
         flow: [ { kafka: { create_topic: a }, KEYS } ] } }",
    ),
    (
        "topic_operation",
        "services: KAFKA, workloads: { w: { users: 1, \
         flow: [ { kafka: { create_topic: a, KEYS } } ] } }",
    ),
    (
        "sql",
        "services: { db: 'postgres://127.0.0.1' }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { sql: select 1, KEYS } ] } }",
    ),
    (
        "send",
        "services: { s: 'redis://127.0.0.1' }, workloads: { w: { users: 1, \
         flow: [ { open: true }, { send: a, body: x, KEYS } ] } }",
    ),
    (
        "listen",
        "services: { s: 'redis://127.0.0.1' }, workloads: { w: { users: 1, \
         flow: [ { open: true }, { listen: a, KEYS } ] } }",
    ),
    (
        "copy",
        "services: { db: 'postgres://127.0.0.1' }, workloads: { w: { users: 1, duration: 1s, \
         flow: [ { copy: t, row: [ 1 ], KEYS } ] } }",
    ),
    (
        "transacted",
        "services: { db: 'postgres://127.0.0.1' }, workloads: { w: { users: 1, duration: 1s, \
         flow: [ { transaction: { do: [ { sql: select 1 } ], KEYS } } ] } }",
    ),
    (
        "sql_capture",
        "services: { db: 'postgres://127.0.0.1' }, workloads: { w: { users: 1, duration: 1s, \
         flow: [ { sql: select 1, capture: { x: { json: '$', KEYS } } } ] } }",
    ),
    (
        "sql_check",
        "services: { db: 'postgres://127.0.0.1' }, workloads: { w: { users: 1, duration: 1s, \
         flow: [ { sql: select 1, check: { KEYS } } ] } }",
    ),
    (
        "grpc_service",
        "services: { echo: { url: 'grpc://h:9', grpc: { descriptors: set.pb, KEYS } } }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { grpc: p.S/F } ] } }",
    ),
    (
        "grpc",
        "services: { echo: { url: 'grpc://h:9', grpc: { descriptors: set.pb } } }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { grpc: p.S/F, KEYS } ] } }",
    ),
    (
        "grpc_capture",
        "services: { echo: { url: 'grpc://h:9', grpc: { descriptors: set.pb } } }, \
         workloads: { w: { users: 1, duration: 1s, \
         flow: [ { grpc: p.S/F, capture: { x: { json: '$', KEYS } } } ] } }",
    ),
    (
        "redis",
        "services: { store: 'redis://127.0.0.1' }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { redis: [GET, a], KEYS } ] } }",
    ),
    (
        "tcp",
        "services: { line: 'tcp://127.0.0.1:9' }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { tcp: a, KEYS } ] } }",
    ),
    (
        "udp",
        "services: { gram: 'udp://127.0.0.1:9' }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { udp: a, KEYS } ] } }",
    ),
    (
        "dns_query",
        "services: { names: 'dns://127.0.0.1' }, \
         workloads: { w: { users: 1, duration: 1s, flow: [ { dns: a.example, KEYS } ] } }",
    ),
    (
        "reply_capture",
        "services: { store: 'redis://127.0.0.1' }, workloads: { w: { users: 1, duration: 1s, \
         flow: [ { redis: [GET, a], capture: { x: { json: '$', KEYS } } } ] } }",
    ),
    (
        "cache",
        "services: SERVICES, cache: { c: { layers: [memory], ttl: 1h, KEYS } }, \
         workloads: { w: WORKLOAD }",
    ),
    (
        "cache_layer",
        "services: SERVICES, cache: { c: { layers: [ { at: memory, KEYS } ], ttl: 1h } }, \
         workloads: { w: WORKLOAD }",
    ),
    ("prices", "prices: 1, KEYS"),
    ("network_prices", "prices: 1, network_gb: { KEYS }"),
    ("schedule", "schedule: s, KEYS, jobs: { j: JOB }"),
    ("lock", "schedule: s, lock: { url: 'redis://127.0.0.1', KEYS }, jobs: { j: JOB }"),
    ("notify", "schedule: s, notify: { url: 'http://127.0.0.1/', KEYS }, jobs: { j: JOB }"),
    ("job", "schedule: s, jobs: { j: { scenario: schedule.yaml, every: 1m, KEYS } }"),
    (
        "job_retries",
        "schedule: s, jobs: { j: { scenario: schedule.yaml, every: 1m, retries: { KEYS } } }",
    ),
    (
        "job_backoff",
        "schedule: s, jobs: { j: { scenario: schedule.yaml, every: 1m, retries: { backoff: { \
         KEYS } } } }",
    ),
    ("scenario", "KEYS, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("service", "services: { s: { builtin: true, KEYS } }, workloads: { w: WORKLOAD }"),
    (
        "backend",
        "services: { s: { urls: [ 'http://a', { url: 'http://b', KEYS } ] } }, \
         workloads: { w: WORKLOAD }",
    ),
    (
        "eject",
        "services: { s: { builtin: { instances: 2 }, eject: { KEYS } } }, \
         workloads: { w: WORKLOAD }",
    ),
    (
        "health",
        "services: { s: { builtin: true, health: { path: /, KEYS } } }, workloads: { w: WORKLOAD }",
    ),
    ("builtin", "services: { s: { builtin: { KEYS } } }, workloads: { w: WORKLOAD }"),
    ("service", "services: { s: { builtin: { instances: 2 }, KEYS } }, workloads: { w: WORKLOAD }"),
    (
        "shift",
        "services: { s: 'http://a' }, shift: { to: 'http://b', KEYS }, \
         workloads: { w: { users: 1, duration: 10m, flow: FLOW } }",
    ),
    ("dns", "services: { s: { builtin: true, dns: { KEYS } } }, workloads: { w: WORKLOAD }"),
    ("http", "services: { s: { builtin: true, http: { KEYS } } }, workloads: { w: WORKLOAD }"),
    ("tls", "services: { s: { builtin: true, tls: { KEYS } } }, workloads: { w: WORKLOAD }"),
    ("workload", "services: SERVICES, workloads: { w: { KEYS, users: 1, flow: FLOW } }"),
    (
        "k6_workload",
        "services: SERVICES, workloads: { w: { executor: per-vu-iterations, KEYS, flow: FLOW } }",
    ),
    (
        "k6_workload",
        "services: SERVICES, workloads: { w: { executor: ramping-vus, KEYS, \
         stages: [ { target: 5, duration: 1s } ], flow: FLOW } }",
    ),
    (
        "k6_workload",
        "services: SERVICES, workloads: { w: { executor: ramping-arrival-rate, KEYS, \
         stages: [ { target: 5, duration: 1s } ], flow: FLOW } }",
    ),
    (
        "arrivals",
        "services: SERVICES, workloads: { w: { arrivals: { rate: 1/s, KEYS }, duration: 1s, \
         flow: FLOW } }",
    ),
    (
        "network",
        "services: SERVICES, workloads: { w: { users: 1, network: { KEYS, up: 1MB/s }, \
         flow: FLOW } }",
    ),
    (
        "feed",
        "services: SERVICES, workloads: { w: { users: 1, data: { row: { inline: [ { a: 1 } ], \
         KEYS } }, flow: FLOW } }",
    ),
    ("request", "services: SERVICES, workloads: { w: { users: 1, flow: [ { get: /, KEYS } ] } }"),
    (
        "capture",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { get: /, capture: { x: { \
         header: a, KEYS } } } ] } }",
    ),
    (
        "loop",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { while: { that: true, KEYS, \
         do: FLOW } } ] } }",
    ),
    ("ws", "services: { s: { builtin: true, ws: { KEYS } } }, workloads: { w: WORKLOAD }"),
    ("open", "services: SERVICES, workloads: { w: { users: 1, flow: [ { open: /ws, KEYS } ] } }"),
    (
        "listen",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { listen: /e, KEYS } ] } }",
    ),
    (
        "send",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { open: /ws }, \
         { send: s, json: { a: 1 }, KEYS } ] } }",
    ),
    (
        "await",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { open: /ws }, \
         { await: s, KEYS } ] } }",
    ),
    (
        "close",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { open: /ws }, \
         { close: s, KEYS } ] } }",
    ),
    (
        "reconnect",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { open: /ws, \
         reconnect: { KEYS } } ] } }",
    ),
    (
        "stream_backoff",
        "services: SERVICES, workloads: { w: { users: 1, flow: [ { open: /ws, \
         reconnect: { backoff: { KEYS } } } ] } }",
    ),
    ("pool", "pools: { p: { match: '*', KEYS } }, services: SERVICES, workloads: { w: WORKLOAD }"),
    (
        "adaptive",
        "pools: { p: { match: '*', adaptive: { KEYS } } }, services: SERVICES, \
         workloads: { w: WORKLOAD }",
    ),
    (
        "breakers",
        "client: resilient, breakers: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }",
    ),
    (
        "breaker",
        "breakers: { endpoint: { share: 50%, KEYS } }, services: SERVICES, \
         workloads: { w: WORKLOAD }",
    ),
    ("timeouts", "timeouts: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("retries", "retries: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("backoff", "connect_backoff: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("hedging", "hedging: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("degradation", "degradation: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("prewarm", "prewarm: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("healing", "healing: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("admission", "admission: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    ("safety", "safety: { KEYS }, services: SERVICES, workloads: { w: WORKLOAD }"),
    (
        "stop_on",
        "safety: { stop_on: { errors: 90%, for: 10s, KEYS } }, services: SERVICES, \
         workloads: { w: WORKLOAD }",
    ),
];
