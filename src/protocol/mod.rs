//! The protocols of services: their schemes and ports, and the statuses of their responses.
//!
//! `scenario` reads them from URLs, `wire` speaks them, reports show their statuses.
//! Invariant: a protocol knows nothing of sockets; what it is called stands here alone.

mod named;
pub mod status;

/// What a service speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP, and what begins with it: WebSocket, server-sent events.
    #[default]
    Http,
    /// Redis, RESP2.
    Redis,
    /// Bytes over TCP.
    Tcp,
    /// Datagrams.
    Udp,
    /// DNS over UDP.
    Dns,
    /// DNS over TCP, or over TLS.
    DnsTcp,
    /// PostgreSQL, protocol 3.0.
    Postgres,
    /// gRPC over HTTP/2.
    Grpc,
    /// MQTT 3.1.1 and 5.0.
    Mqtt,
    /// AMQP 0-9-1.
    Amqp,
    /// Kafka.
    Kafka,
}

/// A scheme of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// As it stands before `://`, in lower case.
    pub name: &'static str,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether over TLS.
    pub tls: bool,
    /// The port of a URL without one; `None`: a URL has to name it.
    pub port: Option<u16>,
}

const fn scheme(name: &'static str, protocol: Protocol, tls: bool, port: Option<u16>) -> Scheme {
    Scheme { name, protocol, tls, port }
}

/// All schemes of services.
pub const SCHEMES: [Scheme; 25] = [
    scheme("http", Protocol::Http, false, Some(80)),
    scheme("https", Protocol::Http, true, Some(443)),
    scheme("ws", Protocol::Http, false, Some(80)),
    scheme("wss", Protocol::Http, true, Some(443)),
    scheme("redis", Protocol::Redis, false, Some(6379)),
    scheme("rediss", Protocol::Redis, true, Some(6379)),
    scheme("tcp", Protocol::Tcp, false, None),
    scheme("tls", Protocol::Tcp, true, None),
    scheme("udp", Protocol::Udp, false, None),
    scheme("dns", Protocol::Dns, false, Some(53)),
    scheme("dns+tcp", Protocol::DnsTcp, false, Some(53)),
    scheme("dns+tls", Protocol::DnsTcp, true, Some(853)),
    scheme("postgres", Protocol::Postgres, false, Some(5432)),
    scheme("postgresql", Protocol::Postgres, false, Some(5432)),
    scheme("postgres+tls", Protocol::Postgres, true, Some(5432)),
    scheme("grpc", Protocol::Grpc, false, None),
    scheme("grpcs", Protocol::Grpc, true, Some(443)),
    scheme("mqtt", Protocol::Mqtt, false, Some(1883)),
    scheme("mqtts", Protocol::Mqtt, true, Some(8883)),
    scheme("mqtt+ws", Protocol::Mqtt, false, Some(80)),
    scheme("mqtt+wss", Protocol::Mqtt, true, Some(443)),
    scheme("amqp", Protocol::Amqp, false, Some(5672)),
    scheme("amqps", Protocol::Amqp, true, Some(5671)),
    scheme("kafka", Protocol::Kafka, false, Some(9092)),
    scheme("kafkas", Protocol::Kafka, true, Some(9093)),
];

impl Protocol {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Redis => "Redis",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Dns | Self::DnsTcp => "DNS",
            Self::Postgres => "PostgreSQL",
            Self::Grpc => "gRPC",
            Self::Mqtt => "MQTT",
            Self::Amqp => "AMQP",
            Self::Kafka => "Kafka",
        }
    }

    /// The word before a status in reports, and the scheme that an address is shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Redis => "redis",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Dns | Self::DnsTcp => "dns",
            Self::Postgres => "postgres",
            Self::Grpc => "grpc",
            Self::Mqtt => "mqtt",
            Self::Amqp => "amqp",
            Self::Kafka => "kafka",
        }
    }

    /// Whether its connections log in with a user, a password and a database.
    pub const fn has_login(self) -> bool {
        matches!(self, Self::Redis | Self::Postgres | Self::Mqtt | Self::Amqp | Self::Kafka)
    }

    /// Whether its connections are sessions at a message broker, which steps open and hold.
    pub const fn is_broker(self) -> bool {
        matches!(self, Self::Mqtt | Self::Amqp | Self::Kafka)
    }

    /// Whether its servers have channels, to which a session publishes and subscribes beside other
    /// calls.
    pub const fn has_channels(self) -> bool {
        matches!(self, Self::Redis | Self::Postgres)
    }

    /// The key of a step that calls a service of this protocol; `None` for HTTP, whose steps have
    /// methods.
    pub const fn step(self) -> Option<&'static str> {
        match self {
            Self::Http => None,
            Self::Redis => Some("redis"),
            Self::Tcp => Some("tcp"),
            Self::Udp => Some("udp"),
            Self::Dns | Self::DnsTcp => Some("dns"),
            Self::Postgres => Some("sql"),
            Self::Grpc => Some("grpc"),
            Self::Mqtt | Self::Amqp | Self::Kafka => Some("send"),
        }
    }
}

impl Scheme {
    /// The scheme of this name, in any case.
    pub fn of(name: &str) -> Option<Self> {
        SCHEMES.into_iter().find(|scheme| scheme.name.eq_ignore_ascii_case(name))
    }

    /// Whether its messages go over WebSocket, at the path of its URL.
    pub fn is_over_websocket(self) -> bool {
        self.name.starts_with("mqtt+ws")
    }

    /// As [`Self::for_protocol`], over WebSocket.
    pub fn over_websocket(tls: bool) -> Self {
        let fits = |scheme: &Self| scheme.is_over_websocket() && scheme.tls == tls;
        SCHEMES.into_iter().find(fits).unwrap_or(SCHEMES[0])
    }

    /// The scheme of a protocol, with or without TLS; `http` if it has none with TLS.
    pub fn for_protocol(protocol: Protocol, tls: bool) -> Self {
        let fits = |scheme: &Self| scheme.protocol == protocol && scheme.tls == tls;
        SCHEMES.into_iter().find(fits).unwrap_or(SCHEMES[0])
    }
}
