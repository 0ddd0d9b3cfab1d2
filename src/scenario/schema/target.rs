//! Schema of services and their transport.
//!
//! Invariant: it matches the readers in `scenario::service`.

use serde_json::{Value, json};

use super::build::{Definition, any_of, at_most_one, exactly_one, map_of, object, refer};
use super::scalars::{count, word};

/// The definitions of services and their parts.
pub(super) fn definitions() -> Vec<Definition> {
    let url = json!({ "type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://|^builtin$" });
    vec![
        ("service", any_of(vec![url, refer("service_map")])),
        ("service_map", service()),
        ("builtin", builtin()),
    ]
}

fn service() -> Value {
    let ip = || matching("^[0-9.]+$|:");
    let source = any_of(vec![
        ip(),
        json!({ "type": "array", "minItems": 1, "maxItems": 1_024, "items": ip() }),
    ]);
    let keys = vec![
        ("url", "http or https; a path is a prefix of all steps' paths.", refer("fixed")),
        ("builtin", "The target that comes with the program.", refer("builtin")),
        ("headers", "Sent with every call; a step's own header wins.", map_of(refer("text"))),
        ("timeout", "How long a call may take; 30s if not said.", refer("some_duration")),
        ("auth", "An Authorization header.", auth()),
        ("tls", "Certificates and names.", tls()),
        ("connect_to", "host:port to connect to instead.", matching(":[0-9]+$")),
        ("unix", "The path of a socket to connect to instead.", refer("fixed")),
        ("source", "Local addresses, taken in turn by user.", source),
        (
            "proxy",
            "Such as http://proxy:3128 or socks5://proxy:1080.",
            matching("^(http|socks5h?)://"),
        ),
        ("dns", "How its name is looked up.", dns()),
        ("http", "The version of HTTP.", http()),
        ("cookies", "Whether users keep cookies; true if not said.", refer("truth")),
        ("redirects", "How many a call follows; none if not said.", count(0, 100)),
        ("compress", "Whether compressed answers are asked for.", refer("truth")),
    ];
    let service = exactly_one(object("a service", &[], keys), &["url", "builtin"]);
    at_most_one(service, &["unix", "proxy"])
}

/// A text with this pattern.
fn matching(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn builtin() -> Value {
    let latency = any_of(vec![json!({ "type": "string" }), refer("distribution")]);
    let map = object(
        "the built-in target",
        &[],
        vec![
            ("latency", "Its service time, such as exponential:5ms.", latency),
            ("servers", "How many requests it serves at once.", count(1, 1_000_000)),
        ],
    );
    any_of(vec![json!({ "type": "null" }), json!({ "const": true }), map])
}

fn auth() -> Value {
    let basic = object(
        "`basic`",
        &["user", "password"],
        vec![("user", "", refer("text")), ("password", "", refer("text"))],
    );
    let keys = vec![("basic", "RFC 7617.", basic), ("bearer", "A token.", refer("text"))];
    exactly_one(object("`auth`", &[], keys), &["basic", "bearer"])
}

fn tls() -> Value {
    let mut tls = object(
        "`tls`",
        &[],
        vec![
            ("insecure", "Accept any certificate; the report says so.", refer("truth")),
            ("ca", "A PEM file that replaces the system's roots.", refer("fixed")),
            ("cert", "A PEM file with the certificate we show.", refer("fixed")),
            ("key", "A PEM file with its key.", refer("fixed")),
            ("server_name", "Asked for and verified instead of the host.", refer("fixed")),
        ],
    );
    tls["dependentRequired"] = json!({ "cert": ["key"], "key": ["cert"] });
    tls
}

fn dns() -> Value {
    let ttl = any_of(vec![word(&["run", "connection"]), refer("some_duration")]);
    let keys = vec![
        ("ttl", "For how long an answer holds.", ttl),
        ("pick", "Which of several addresses.", word(&["first", "rotate", "random"])),
        ("family", "Which kind of address.", json!({ "enum": ["any", "4", "6", 4, 6] })),
    ];
    object("`dns`", &[], keys)
}

fn http() -> Value {
    let version = json!({ "enum": ["auto", "1.1", "2", 1.1, 2] });
    object("`http`", &[], vec![("version", "1.1 if not said.", version)])
}
