//! Field tables of services and their transport.
//!
//! `scenario::service` reads them.
//! Invariant: a service has one address.

use crate::plan::transport::{AddressFamily, AddressOrder, HttpVersion};
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Constant, Count, Fixed, List, Matching, Null, Numbers, OneOf, PositiveDuration, Shared,
    Table, Template, Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, SharedShape, key, map_of, words};
use crate::scenario::nouns::streams::WS;

/// A service: a URL, `builtin`, or a map.
pub(crate) static SERVICE_FORM: SharedShape = SharedShape {
    id: "service_form",
    title: "URL, `builtin`, or a [service](#service)",
    shape: OneOf(&[
        Matching("^([hH][tT][tT][pP]|[wW][sS])[sS]?://|^builtin$", "URL, or `builtin`"),
        Table(&SERVICE),
    ]),
};

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
        key("url", Fixed, "Address: http, https, ws or wss; its path is a prefix of all paths."),
        key(
            "builtin",
            OneOf(&[Null, Constant(true), Table(&BUILTIN)]),
            "The built-in test server, started for the run.",
        ),
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
        key("compress", Truth, "Sends `Accept-Encoding: gzip, deflate, br, zstd`.")
            .default("false"),
    ]],
    rules: &[KeyRule::ExactlyOne(&["url", "builtin"]), KeyRule::AtMostOne(&["unix", "proxy"])],
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
