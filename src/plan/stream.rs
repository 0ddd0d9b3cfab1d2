//! Streams: connections that live across steps, and what steps do with them.
//!
//! `scenario` compiles them, `engine::streams` runs them.
//! Invariant: a step refers to a stream of its own archetype.

use std::time::Duration;

use crate::grpc::GrpcCall;
use crate::ids::ServiceId;
use crate::plan::broker::{MqttSettings, PublishPlan, SubscribePlan, TransactPlan};
use crate::plan::kafka::KafkaSettings;
use crate::plan::listener::{ChannelPlan, ListenerPlan, MatchCondition};

/// A stream of an archetype.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Name of the stream in the archetype.
    pub name: String,
    /// Service that it is opened on.
    pub service: ServiceId,
    /// Whether it lives as long as its user: it is opened in `on_start`. Else it ends with the
    /// iteration.
    pub of_user: bool,
    /// Whether some step after its opening takes its messages, so that they are kept until then.
    pub is_kept: bool,
    /// The call of gRPC that it is; `None`: it is none.
    pub grpc: Option<Box<GrpcCall>>,
}

/// What a step does with a stream; `Call` holds its request, captures and checks.
#[derive(Clone, Debug)]
pub struct StreamStep {
    /// Index into `Archetype::streams`.
    pub stream: usize,
    /// What it does.
    pub act: StreamAct,
}

/// The verbs.
#[derive(Clone, Debug)]
pub enum StreamAct {
    /// Opens the stream; the call is its handshake.
    Open(Box<OpenStream>),
    /// Sends the call's body as a message.
    Send(SendMessage),
    /// Waits for messages.
    Await(AwaitMessage),
    /// Handles messages in the background from now on.
    Listen(ListenerPlan),
    /// Publishes the call's body at a broker.
    Publish(Box<PublishPlan>),
    /// Subscribes at a broker, and handles messages from then on.
    Subscribe(Box<SubscribePlan>),
    /// Begins or commits a transaction of a session of Kafka.
    Transact(TransactPlan),
    /// Closes the stream.
    Close {
        /// Close code.
        code: u16,
        /// Reason that is sent with it.
        reason: String,
        /// Whether only our side ends, and the step waits for the target's end.
        half: bool,
    },
}

impl StreamAct {
    /// What listens in the background from this step on.
    pub const fn listener(&self) -> Option<&ListenerPlan> {
        match self {
            Self::Open(open) => open.listener.as_ref(),
            Self::Listen(listener) => Some(listener),
            Self::Subscribe(subscribe) => subscribe.listener.as_ref(),
            _ => None,
        }
    }

    /// Calls `each` with the variables that its templates read.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        let conditions = |all: &[MatchCondition], each: &mut dyn FnMut(usize)| {
            for condition in all {
                match condition {
                    MatchCondition::Fixed(_) => {}
                    MatchCondition::Json(_, text) | MatchCondition::Text(_, text) => {
                        text.reads(each);
                    }
                }
            }
        };
        match self {
            Self::Await(message) => conditions(&message.conditions, each),
            Self::Publish(publish) => {
                publish.destination.reads(each);
                publish.headers.iter().for_each(|(_, value)| value.reads(each));
                let placing = publish.key.iter().chain(&publish.partition);
                placing.for_each(|template| template.reads(each));
            }
            Self::Subscribe(subscribe) => {
                subscribe.source.reads(each);
                subscribe.group.iter().for_each(|group| group.reads(each));
            }
            Self::Transact(TransactPlan::Begin(id)) => id.reads(each),
            Self::Open(_)
            | Self::Send(_)
            | Self::Listen(_)
            | Self::Close { .. }
            | Self::Transact(TransactPlan::Commit) => {}
        }
        let Some(listener) = self.listener() else { return };
        conditions(&listener.conditions, each);
        for reply in &listener.replies {
            conditions(&reply.conditions, each);
            reply.text.reads(each);
        }
        if let Some(ChannelPlan::Named(name)) = &listener.channel {
            name.reads(each);
        }
    }

    /// The verb of a step that is no handshake; `None` for a handshake.
    pub const fn verb(&self) -> Option<&'static str> {
        match self {
            Self::Open(_) => None,
            Self::Send(_) | Self::Publish(_) => Some("send"),
            Self::Await(_) => Some("await"),
            Self::Listen(_) | Self::Subscribe(_) => Some("listen"),
            Self::Close { .. } => Some("close"),
            Self::Transact(_) => Some("transaction"),
        }
    }

    /// Whether the step is a call: it takes time, and is counted.
    pub const fn is_call(&self) -> bool {
        !matches!(self, Self::Listen(_))
    }

    /// Whether the step waits for the target.
    pub const fn waits(&self) -> bool {
        match self {
            Self::Open(_) | Self::Await(_) | Self::Subscribe(_) | Self::Transact(_) => true,
            Self::Publish(publish) => publish.waits(),
            Self::Close { half, .. } => *half,
            Self::Send(_) | Self::Listen(_) => false,
        }
    }
}

/// How a stream is opened.
#[derive(Clone, Debug)]
pub struct OpenStream {
    /// What it speaks.
    pub form: StreamForm,
    /// Subprotocols that are offered, in order of preference.
    pub subprotocols: Vec<String>,
    /// How it is opened again after it ended; `None`: it is not.
    pub reconnect: Option<Reconnect>,
    /// The listener that begins with it, of a `listen` with a path.
    pub listener: Option<ListenerPlan>,
}

/// What a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamForm {
    /// RFC 6455.
    WebSocket,
    /// `text/event-stream`.
    Events,
    /// A message per line.
    Lines,
    /// A session of MQTT.
    Mqtt(MqttSettings),
    /// A channel of AMQP 0-9-1.
    Amqp,
    /// A producer and consumer of Kafka.
    Kafka(KafkaSettings),
    /// Channels of Redis.
    Redis,
    /// Channels of PostgreSQL.
    Postgres,
    /// A call of gRPC, and the longest message accepted, bytes.
    Grpc(u64),
}

impl StreamForm {
    /// Whether it is a session at a message broker.
    pub const fn is_broker(self) -> bool {
        !matches!(self, Self::WebSocket | Self::Events | Self::Lines | Self::Grpc(_))
    }

    /// Whether it ends with a status that has a name.
    pub const fn has_statuses(self) -> bool {
        self.is_broker() || matches!(self, Self::Grpc(_))
    }
}

/// How a stream is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Attempts in a row without success after which it stays closed.
    pub max: u32,
    /// The first wait; it doubles with each attempt, and half of it is random.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Whether an event stream asks for the events that it missed (`Last-Event-ID`).
    pub resume: bool,
}

impl Default for Reconnect {
    fn default() -> Self {
        let (base, cap) = (Duration::from_millis(500), Duration::from_secs(30));
        Self { max: 10, base, cap, resume: true }
    }
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendMessage {
    /// Whether the message is text, else bytes.
    pub text: bool,
    /// Whether it is sent again each time the stream was opened again: a subscription.
    pub resend: bool,
}

/// How a step waits for messages.
#[derive(Clone, Debug)]
pub struct AwaitMessage {
    /// Conditions on the message; without one, every message will do.
    pub conditions: Vec<MatchCondition>,
    /// The moment that its response time counts from.
    pub since: AwaitSince,
    /// How many messages it waits for.
    pub count: u32,
    /// Whether a timeout is no failure.
    pub may_time_out: bool,
}

/// The moment that a wait for a message counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwaitSince {
    /// The last `send` on the stream, or the step itself if there was none.
    #[default]
    Send,
    /// The opening of the stream.
    Open,
    /// The last message that a step waited for on the stream.
    Last,
    /// The intended start of the iteration.
    Iteration,
    /// The step itself.
    Now,
}

impl AwaitSince {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("send", Self::Send),
        ("open", Self::Open),
        ("last", Self::Last),
        ("iteration", Self::Iteration),
        ("now", Self::Now),
    ];
}

/// A response that comes in pieces, which are observed as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamedAnswer {
    /// What the pieces are.
    pub format: AnswerFormat,
    /// What makes the answer good; `None`: it is not judged.
    pub good: Option<GoodAnswer>,
}

/// What the pieces of a response are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFormat {
    /// Server-sent events.
    Events,
    /// Lines.
    Lines,
    /// Events of OpenAI's chat completions, completions and responses.
    OpenAi,
    /// Events of Anthropic's messages.
    Anthropic,
    /// Messages of gRPC.
    Messages,
}

impl AnswerFormat {
    /// The spelling in a call of gRPC.
    pub const GRPC_NAMES: [(&'static str, Self); 1] = [("messages", Self::Messages)];

    /// The spellings in a request of HTTP.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("sse", Self::Events),
        ("lines", Self::Lines),
        ("openai", Self::OpenAi),
        ("anthropic", Self::Anthropic),
    ];
}

/// The limits of a good answer; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoodAnswer {
    /// From dispatch to the first content.
    pub first: Option<Duration>,
    /// Per token after the first.
    pub tpot: Option<Duration>,
    /// From the intended start to the last byte.
    pub response: Option<Duration>,
}

/// The settings of a service's WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// How long the target may be silent before a ping; `None`: no pings.
    pub ping: Option<Duration>,
    /// How long it may take to answer a ping.
    pub pong: Duration,
    /// Whether permessage-deflate (RFC 7692) is offered.
    pub deflate: bool,
    /// The longest message accepted, bytes.
    pub max_message: u64,
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self { ping: None, pong: Duration::from_secs(10), deflate: false, max_message: 1 << 20 }
    }
}

/// How long a target may take to answer a close.
pub const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long listeners wait at the end of a run: for the last publisher, and then for what is under
/// way.
pub const LATE_WAIT: Duration = Duration::from_secs(2);

/// Messages that a stream keeps for steps that wait for them.
pub const MAX_INBOX: usize = 256;

/// Bytes of the messages that a stream keeps.
pub const MAX_INBOX_BYTES: usize = 1 << 20;
