//! Field tables of services and their transport.
//!
//! `scenario::service` reads them.
//! Invariant: a service has one address.

use crate::plan::backends::{BalanceWord, MAX_BACKENDS};
use crate::plan::transport::{AddressFamily, AddressOrder, HttpVersion};
use crate::scenario::nouns::brokers::MQTT;
use crate::scenario::nouns::grpc_service::GRPC_SERVICE;
use crate::scenario::nouns::kafka::KAFKA_SETTINGS;
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Constant, Count, Duration, Fixed, List, Matching, Null, Numbers, OneOf, PositiveDuration,
    Share, Shared, Table, Template, Truth, Words,
};
use crate::scenario::nouns::noun::{
    EMPTY, KeyRule, Noun, SharedShape, key, list_of, map_of, words,
};
use crate::scenario::nouns::responses::HTTP_STATUS;
use crate::scenario::nouns::streams::WS;

/// A service: a URL, `builtin`, or a map.
pub(crate) static SERVICE_FORM: SharedShape = SharedShape {
    id: "service_form",
    title: "URL, `builtin`, or a [service](#service)",
    shape: OneOf(&[
        Matching(
            "^([hH][tT][tT][pP]|[wW][sS]|redis)[sS]?://|^(tcp|tls|udp|dns|dns\\+tcp|dns\\+tls)://\
             |^postgres(ql|\\+tls)?://|^grpcs?://|^mqtts?://|^amqps?://|^kafkas?://\
             |^builtin$",
            "URL, or `builtin`",
        ),
        Table(&SERVICE),
    ]),
};

/// A URL of a backend.
const URL: ValueShape = Matching("^([hH][tT][tT][pP]|[wW][sS])[sS]?://", "URL");

/// The words of `balance`.
pub(crate) const BALANCE_MODES: [(&str, BalanceWord); 4] = [
    ("round_robin", BalanceWord::RoundRobin),
    ("random", BalanceWord::Random),
    ("least_connections", BalanceWord::LeastConnections),
    ("sticky", BalanceWord::Sticky),
];

/// The number of redirects that a call follows.
pub(crate) const REDIRECTS: ValueShape = Count(0, 100);

/// An IP address.
const ADDRESS: ValueShape = Matching("^[0-9.]+$|:", "IP address");

/// Maximum local addresses of a service.
pub(crate) const MAX_SOURCES: usize = 1_024;

/// The values of `pick` of `dns`.
pub(crate) const ORDERS: [(&str, AddressOrder); 3] = [
    ("first", AddressOrder::First),
    ("rotate", AddressOrder::Rotate),
    ("random", AddressOrder::Random),
];

/// The values of `family` of `dns`.
pub(crate) const FAMILIES: [(&str, AddressFamily); 3] =
    [("any", AddressFamily::Any), ("4", AddressFamily::V4), ("6", AddressFamily::V6)];

/// The values of `version` of `http`.
pub(crate) const VERSIONS: [(&str, HttpVersion); 3] =
    [("auto", HttpVersion::Auto), ("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];

pub(crate) static SERVICE: Noun = Noun {
    id: "service",
    title: "a service",
    about: "A target of calls.",
    groups: &[&[
        key(
            "url",
            Fixed,
            "Address: http, https, ws or wss, whose path is a prefix of all paths; redis, rediss, \
             postgres, postgresql, postgres+tls, whose path is a database; tcp, tls, udp; dns, \
             dns+tcp, dns+tls; grpc, grpcs.",
        ),
        key(
            "urls",
            List(1, Some(MAX_BACKENDS), &OneOf(&[URL, Table(&BACKEND)])),
            "Addresses of several backends that serve the same; each call goes to one of them.",
        ),
        key(
            "builtin",
            OneOf(&[Null, Constant(true), Table(&BUILTIN)]),
            "The built-in test server, started for the run.",
        ),
        key(
            "balance",
            OneOf(&[Words(&words(&BALANCE_MODES)), Table(&BALANCE)]),
            "How calls are distributed over the backends: `round_robin` in turns; `random`; \
             `least_connections` to the one with the fewest calls in flight and open streams; \
             `sticky` to the same one for all calls of a user.",
        )
        .default("round_robin"),
        key("eject", Table(&EJECT), "Leaves out a backend that fails for a while.")
            .otherwise("a backend that fails gets its part of the calls"),
        key(
            "slow_start",
            PositiveDuration,
            "How long a backend that was left out takes to get its whole part again.",
        )
        .otherwise("at once"),
        key("health", Table(&HEALTH), "Health checks before, during and after the load."),
        key(
            "headers",
            map_of(&Template),
            "Headers of every call; a step's own header wins. Templates may use functions, \
             `user.number`, `run.id` and `request`, but no variables.",
        ),
        key("timeout", PositiveDuration, "Longest duration of a call.").default("30s"),
        key("auth", Table(&AUTH), "`Authorization` header; one in `headers` wins."),
        key("tls", Table(&TLS), "Certificates and names."),
        key(
            "connect_to",
            Matching(":[0-9]+$", "`host:port`"),
            "Address to connect to instead; the Host header and the name in TLS stay.",
        ),
        key("unix", Fixed, "Path of a Unix socket to connect to instead; http only."),
        key(
            "source",
            OneOf(&[ADDRESS, List(1, Some(MAX_SOURCES), &ADDRESS)]),
            "Local addresses; user n connects from address n modulo their number.",
        )
        .otherwise("chosen by the kernel"),
        key(
            "proxy",
            Matching("^(http|socks5h?)://", "URL such as `http://[user:password@]proxy:3128`"),
            "Proxy. http: whole URLs for http, CONNECT for https. socks5: the proxy resolves \
             names.",
        ),
        key("dns", Table(&DNS), "Name resolution."),
        key("http", Table(&HTTP), "Version of HTTP."),
        key("cookies", Truth, "Users keep cookies.").default("true"),
        key("redirects", REDIRECTS, "Redirects that a call follows; a step's own value wins.")
            .otherwise("a redirect is a response like any other"),
        key("ws", Table(&WS), "Settings of its WebSockets."),
        key("grpc", Table(&GRPC_SERVICE), "Methods and settings of gRPC."),
        key("mqtt", Table(&MQTT), "Settings of MQTT."),
        key("kafka", Table(&KAFKA_SETTINGS), "Settings of Kafka."),
        key(
            "contents",
            Truth,
            "Counts bodies by content type, on the wire and decoded; all of them are decoded.",
        )
        .default("false"),
        key("compress", Truth, "Sends `Accept-Encoding: gzip, deflate, br, zstd`.")
            .default("false"),
        key("cluster", Truth, "Follows the redirects of a cluster of Redis.").otherwise("false"),
    ]],
    rules: &[
        KeyRule::ExactlyOne(&["url", "urls", "builtin"]),
        KeyRule::AtMostOne(&["unix", "proxy"]),
        KeyRule::Excludes("urls", &["connect_to", "unix"]),
    ],
    ..EMPTY
};

pub(crate) static BACKEND: Noun = Noun {
    id: "backend",
    title: "a backend",
    about: "One of several addresses of a service.",
    form: "a URL, or `{ url: URL, weight: 2 }`",
    groups: &[&[
        key("url", Fixed, "Its address; all have the same scheme.").needs("a URL"),
        key(
            "weight",
            Count(0, 1_000),
            "Its part of the calls, relative to the other backends; 0: none.",
        )
        .default("1"),
    ]],
    ..EMPTY
};

pub(crate) static BALANCE: Noun = Noun {
    id: "balance",
    title: "`balance`",
    about: "Distribution by a cookie of the target.",
    form: "`round_robin`, `random`, `least_connections`, `sticky` or `{ cookie: NAME }`",
    groups: &[&[key(
        "cookie",
        Fixed,
        "Name of a cookie: as long as a user has it, its calls go to the backend of its last \
         call; users without it go in turns.",
    )
    .needs("the name of a cookie")]],
    ..EMPTY
};

pub(crate) static EJECT: Noun = Noun {
    id: "eject",
    title: "`eject`",
    about: "When a backend that fails is left out. A failure is no response in time, or a status \
            of 500 and above.",
    groups: &[&[
        key("failures", Count(1, 1_000), "Failures in a row.").default("5"),
        key(
            "for",
            PositiveDuration,
            "How long it is left out; n times as long for the n-th time in a row, up to ten times.",
        )
        .default("30s"),
        key("most", Share("50%"), "Largest share of the backends that is left out at once.")
            .default("50%"),
    ]],
    ..EMPTY
};

pub(crate) static HEALTH: Noun = Noun {
    id: "health",
    title: "`health`",
    about: "Health checks of a service: GET requests beside the load, which count in no figure of \
            it. Each backend is checked; an unhealthy one gets no calls as long as another is \
            healthy.",
    groups: &[&[
        key("path", Matching("^/", "path such as /health"), "Path of the check.")
            .needs("a path such as /health"),
        key(
            "status",
            OneOf(&[HTTP_STATUS, list_of(&HTTP_STATUS)]),
            "Statuses of a healthy response.",
        )
        .default("[2xx, 3xx]"),
        key("body", Fixed, "A text that the body of a healthy response contains."),
        key("every", PositiveDuration, "Time from one check to the next.").default("5s"),
        key("timeout", PositiveDuration, "Longest duration of a check.").default("2s"),
        key("rise", Count(1, 100), "Passed checks in a row that make a backend healthy.")
            .default("2"),
        key("fall", Count(1, 100), "Failed checks in a row that make it unhealthy.").default("3"),
        key(
            "within",
            Duration,
            "How long the run waits before its load until each service is healthy; then it ends.",
        )
        .default("30s"),
    ]],
    ..EMPTY
};

pub(crate) static BUILTIN: Noun = Noun {
    id: "builtin",
    title: "the built-in target",
    about: "The test server that comes with the program.",
    groups: &[&[
        key(
            "latency",
            OneOf(&[Matching("", "compact form such as `exponential:5ms`"), Shared(&DISTRIBUTION)]),
            "Service time of a request.",
        ),
        key(
            "instances",
            Count(1, MAX_BACKENDS as u64),
            "Number of servers, each on a port of its own; more than one are backends.",
        )
        .default("1"),
        key("servers", Count(1, 1_000_000), "Requests served at once; others queue.")
            .otherwise("no limit"),
    ]],
    ..EMPTY
};

pub(crate) static AUTH: Noun = Noun {
    id: "auth",
    title: "`auth`",
    about: "Credentials of a service.",
    form: "`{ basic: { user: U, password: P } }` or `{ bearer: TOKEN }`",
    groups: &[&[
        key("basic", Table(&BASIC), "User and password (RFC 7617)."),
        key("bearer", Template, "Token (RFC 6750)."),
    ]],
    rules: &[KeyRule::ExactlyOne(&["basic", "bearer"])],
    ..EMPTY
};

pub(crate) static BASIC: Noun = Noun {
    id: "basic",
    title: "`basic`",
    about: "User and password.",
    groups: &[&[
        key("user", Template, "Name, without a colon.").needs("a text"),
        key("password", Template, "Password.").needs("a text"),
    ]],
    ..EMPTY
};

pub(crate) static TLS: Noun = Noun {
    id: "tls",
    title: "`tls`",
    about: "TLS settings; files are PEM, relative to the scenario.",
    groups: &[&[
        key("insecure", Truth, "Accepts any certificate; the report says so.").default("false"),
        key(
            "ca",
            Fixed,
            "Certificates that replace the system's roots; each is also trusted as the target's \
             own certificate.",
        ),
        key("cert", Fixed, "Client certificate, with its chain."),
        key("key", Fixed, "Private key of the client certificate."),
        key("server_name", Fixed, "Name to send and verify instead of the host."),
    ]],
    rules: &[KeyRule::Needs("cert", "key"), KeyRule::Needs("key", "cert")],
    ..EMPTY
};

pub(crate) static DNS: Noun = Noun {
    id: "dns",
    title: "`dns`",
    about: "Name resolution of a service.",
    groups: &[&[
        key(
            "ttl",
            OneOf(&[Words(&["run", "connection"]), PositiveDuration]),
            "Lifetime of a result: the run, one connection, or a duration.",
        )
        .default("run"),
        key(
            "pick",
            Words(&words(&ORDERS)),
            "Address to try first: `first` is the one that connected last, else the resolver's \
             first. The next one is tried after 250 ms, or at once after a refusal.",
        )
        .default("first"),
        key("family", OneOf(&[Words(&words(&FAMILIES)), Numbers(&[4.0, 6.0])]), "Address family.")
            .default("any"),
    ]],
    ..EMPTY
};

pub(crate) static HTTP: Noun = Noun {
    id: "http",
    title: "`http`",
    about: "Version of HTTP.",
    groups: &[&[key(
        "version",
        OneOf(&[Words(&words(&VERSIONS)), Numbers(&[1.1, 2.0])]),
        "`2` is prior knowledge over http and ALPN over https; `auto` offers both over https.",
    )
    .default("1.1")]],
    ..EMPTY
};
