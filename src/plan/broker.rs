//! What steps do at a message broker: connect, publish, subscribe, declare.
//!
//! `scenario` compiles them, `engine::streams` runs them, and each protocol of `wire::broker`
//! reads the options that it has.
//! Invariant: an option that a protocol lacks is a mistake of the scenario, never ignored.

use std::time::Duration;

use crate::curve::Distribution;
use crate::plan::kafka::OffsetStart;
use crate::plan::listener::ListenerPlan;
use crate::template::Template;

/// How a connection to a broker begins.
#[derive(Clone, Debug)]
pub enum SessionPlan {
    /// CONNECT of MQTT.
    Mqtt(Box<MqttConnect>),
    /// A producer and consumer of Kafka.
    Kafka,
    /// A channel of AMQP 0-9-1, in confirm mode. User, password and virtual host are the login of
    /// the service.
    Amqp,
    /// RESP3 on a connection to Redis, whose channels publish and subscribe.
    Redis,
    /// A connection to PostgreSQL that listens and notifies.
    Postgres,
}

/// A CONNECT packet of MQTT.
#[derive(Clone, Debug)]
pub struct MqttConnect {
    /// Version and settings of the service.
    pub settings: MqttSettings,
    /// The client identifier; `None`: one that no other connection of any run has.
    pub client_id: Option<Template>,
    /// The user name; `None`: that of the service, if it has one.
    pub user: Option<Template>,
    /// The password; `None`: that of the service, if it has one.
    pub password: Option<Template>,
    /// The message that the broker publishes if the connection ends without DISCONNECT.
    pub will: Option<MqttWill>,
}

/// The last will of a client.
#[derive(Clone, Debug)]
pub struct MqttWill {
    /// Its topic.
    pub topic: Template,
    /// Its payload.
    pub payload: Template,
    /// Its quality of service: 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker retains it.
    pub is_retained: bool,
}

/// The settings of a service that speaks MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MqttSettings {
    /// The version of the protocol.
    pub version: MqttVersion,
    /// The longest silence of a client: it sends PINGREQ before. Whole seconds; zero: no limit.
    pub keep_alive: Duration,
    /// Whether the broker forgets an earlier session of the client identifier.
    pub clean: bool,
    /// How long the broker keeps the session after the connection ended; whole seconds.
    pub session_expiry: Duration,
    /// The longest packet accepted, bytes.
    pub max_packet: u64,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            version: MqttVersion::V5,
            keep_alive: Duration::from_mins(1),
            clean: true,
            session_expiry: Duration::ZERO,
            max_packet: 1 << 20,
        }
    }
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttVersion {
    /// 3.1.1.
    V311,
    /// 5.0.
    V5,
}

/// How a message is published.
#[derive(Clone, Debug)]
pub struct PublishPlan {
    /// Topic of MQTT or Kafka; routing key of AMQP, which is the name of a queue for the default
    /// exchange.
    pub destination: Template,
    /// User properties of MQTT 5, headers of AMQP.
    pub headers: Vec<(String, Template)>,
    /// The key of Kafka.
    pub key: Option<Template>,
    /// The partition of Kafka.
    pub partition: Option<Template>,
    /// What else goes with it.
    pub options: PublishOptions,
    /// How many messages of the connection may wait for their confirmation. With 1 the step ends
    /// with the confirmation of its message, else when the kernel has taken its bytes.
    pub in_flight: u32,
}

/// What goes with a message; what a protocol has not stays at its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// Quality of service of MQTT: 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker of MQTT retains it for later subscribers.
    pub is_retained: bool,
    /// Exchange of AMQP; empty: the default one.
    pub exchange: String,
    /// Whether a broker of AMQP stores it on disk (delivery mode 2).
    pub is_persistent: bool,
    /// Whether a broker of AMQP returns it if no queue takes it.
    pub is_mandatory: bool,
    /// Priority of AMQP.
    pub priority: Option<u8>,
    /// How long it may wait at the broker.
    pub expiration: Option<Duration>,
    /// Media type of the payload, in AMQP and MQTT 5.
    pub content_type: Option<String>,
    /// Whether it is part of a transaction of Kafka.
    pub is_transacted: bool,
    /// Whether the broker confirms it: PUBACK or PUBCOMP of MQTT, publisher confirms of AMQP.
    pub is_confirmed: bool,
}

/// How messages are received.
#[derive(Clone, Debug)]
pub struct SubscribePlan {
    /// Topic filter of MQTT, queue of AMQP, topic of Kafka.
    pub source: Template,
    /// The consumer group of Kafka; `None`: the session consumes alone.
    pub group: Option<Template>,
    /// What else the subscription has.
    pub options: SubscribeOptions,
    /// When messages are acknowledged.
    pub acknowledge: AcknowledgePlan,
    /// What handles the messages; `None`: they are kept for steps that wait for them.
    pub listener: Option<ListenerPlan>,
}

/// What goes with a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Maximum quality of service of MQTT: 0, 1 or 2.
    pub qos: u8,
    /// Unacknowledged messages that a broker of AMQP sends ahead, or a consumer of Kafka keeps; 0:
    /// without a limit.
    pub prefetch: u16,
    /// Whether messages count as acknowledged when a broker of AMQP has sent them, or a consumer of
    /// Kafka has received them.
    pub is_automatic: bool,
    /// Whether no other consumer may receive from the queue of AMQP.
    pub is_exclusive: bool,
    /// Where a consumer of Kafka begins that has no stored offset.
    pub start: OffsetStart,
}

/// A step that begins or commits a transaction of Kafka.
#[derive(Clone, Debug)]
pub enum TransactPlan {
    /// Begins one with this transactional id, and aborts one that is open.
    Begin(Template),
    /// Commits it; one with a message that was refused is aborted.
    Commit,
}

/// When and how a consumer of AMQP acknowledges messages.
#[derive(Clone, Debug, Default)]
pub struct AcknowledgePlan {
    /// An acknowledgement covers this many messages; 0: the consumer sends none.
    pub every: u32,
    /// How long the work for each message takes, one after the other; `None`: no time.
    pub work: Option<Distribution>,
    /// The share of messages that are rejected, 0 to 1.
    pub reject: f64,
    /// Whether the broker queues rejected messages again, else it drops or dead-letters them.
    pub requeue: bool,
}

/// A queue, an exchange or a binding that a step declares or deletes at a broker of AMQP.
#[derive(Clone, Debug)]
pub struct DeclarePlan {
    /// What it is.
    pub kind: DeclareKind,
    /// Its name.
    pub name: Template,
    /// Whether it survives a restart of the broker.
    pub is_durable: bool,
    /// Further arguments, such as `x-queue-type`.
    pub arguments: Vec<(String, DeclareArgument)>,
}

/// What is declared or deleted.
#[derive(Clone, Debug)]
pub enum DeclareKind {
    /// A queue.
    Queue,
    /// An exchange of this type: `direct`, `fanout`, `topic` or `headers`.
    Exchange(String),
    /// Routes messages of an exchange with this routing key to the queue that is declared.
    Binding {
        /// The exchange.
        exchange: Template,
        /// The routing key.
        key: Template,
    },
    /// Deletes a queue.
    DeleteQueue,
    /// Deletes an exchange.
    DeleteExchange,
    /// Removes the messages of a queue.
    Purge,
}

/// The value of an argument.
#[derive(Clone, Debug)]
pub enum DeclareArgument {
    /// A text.
    Text(Template),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Truth(bool),
}

impl SessionPlan {
    /// Calls `each` with the variables that its templates read.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        let Self::Mqtt(connect) = self else { return };
        let will = connect.will.iter().flat_map(|will| [&will.topic, &will.payload]);
        let own = [&connect.client_id, &connect.user, &connect.password].into_iter().flatten();
        own.chain(will).for_each(|template| template.reads(each));
    }
}

impl PublishPlan {
    /// Whether its step ends with the confirmation of its message.
    pub const fn waits(&self) -> bool {
        self.options.is_confirmed && self.in_flight == 1
    }
}

impl DeclarePlan {
    /// Calls `each` with the variables that its templates read.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        self.name.reads(each);
        if let DeclareKind::Binding { exchange, key } = &self.kind {
            exchange.reads(each);
            key.reads(each);
        }
        for (_, argument) in &self.arguments {
            if let DeclareArgument::Text(text) = argument {
                text.reads(each);
            }
        }
    }
}
