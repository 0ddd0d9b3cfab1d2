//! Requests of protocols other than HTTP: rendered from the templates of their step.
//!
//! `request` prepares and renders them as it does requests of HTTP.
//! Invariant: what does not change is encoded once, when a shard starts.

use std::sync::Arc;

use rand::RngExt;

use super::copy::{PreparedCopy, sql_value};
use super::declaration;
use crate::plan::broker::{DeclarePlan, MqttConnect, SessionPlan};
use crate::plan::kafka::TopicOperation;
use crate::plan::operation::{BatchForm, Operation, RecordType, RedisBatch, SqlMode, SqlStatement};
use crate::plan::safety::Safety;
use crate::plan::{Call, RequestBody};
use crate::protocol::Protocol;
use crate::template::{RenderError, RenderScope, Template};
use crate::wire::broker::amqp::declare::begin_session;
use crate::wire::broker::kafka::requests as kafka;
use crate::wire::broker::mqtt::connect as mqtt_connect;
use crate::wire::broker::mqtt::connect::{ConnectParts, WillParts};
use crate::wire::broker::pubsub::beginning::HELLO;
use crate::wire::broker::pubsub::postgres;
use crate::wire::{encode, sql_encode};

/// A request of an operation, as far as it is known beforehand.
#[derive(Debug)]
pub(crate) enum PreparedOperation {
    /// The same for each call.
    Fixed(Vec<u8>),
    /// Commands of Redis, in parts.
    Redis(Vec<RedisPart>),
    /// Bytes of TCP or UDP.
    Bytes(Template),
    /// A question to a name server.
    Dns { name: Template, record: RecordType, recursion: bool, over_tcp: bool },
    /// A statement with parameters that are rendered for each call: the message that parses it, the
    /// name that it is bound by, and the parameters.
    Bind { parse: Vec<u8>, name: String, params: Vec<Option<Template>> },
    /// A text of statements that is rendered for each call.
    Query(Template),
    /// A statement that copies rows into a table.
    Copy(PreparedCopy),
    /// CONNECT of MQTT.
    MqttConnect(Box<MqttConnect>),
    /// A declaration at a broker of AMQP.
    Declare(Box<DeclarePlan>, Arc<Safety>),
    /// A topic of Kafka that is made or deleted.
    Topic(Box<TopicOperation>, Arc<Safety>),
}

/// A part of encoded commands.
#[derive(Debug)]
pub(crate) enum RedisPart {
    /// Encoded already.
    Encoded(Vec<u8>),
    /// A word that is rendered for each call.
    Word(Template),
}

impl PreparedOperation {
    /// Prepares the operation of a call.
    pub(crate) fn new(
        call: &Call,
        operation: &Operation,
        (protocol, safety): (Protocol, &Arc<Safety>),
    ) -> Self {
        match operation {
            Operation::Redis(batch) => redis(batch),
            Operation::Sql(statement) if statement.copies => {
                let copy = PreparedCopy::new(call, statement);
                copy.fixed().map_or(Self::Copy(copy), Self::Fixed)
            }
            Operation::Sql(statement) => sql(statement),
            // Requests of gRPC are prepared as those of HTTP are.
            Operation::Bytes(_) | Operation::Grpc(_) => match &call.request.body {
                RequestBody::None => Self::Fixed(Vec::new()),
                RequestBody::Bytes(bytes) => Self::Fixed(bytes.clone()),
                RequestBody::Template(text) => match text.as_static() {
                    Some(bytes) => Self::Fixed(bytes.to_vec()),
                    None => Self::Bytes(text.clone()),
                },
            },
            Operation::Session(SessionPlan::Mqtt(connect)) => Self::MqttConnect(connect.clone()),
            Operation::Session(SessionPlan::Amqp) => {
                let mut bytes = Vec::new();
                begin_session(&mut bytes);
                Self::Fixed(bytes)
            }
            Operation::Session(SessionPlan::Kafka) => {
                let mut bytes = Vec::new();
                kafka::api_versions(&mut bytes);
                Self::Fixed(bytes)
            }
            Operation::Topic(topic) => Self::Topic(Box::new(topic.clone()), Arc::clone(safety)),
            Operation::Session(SessionPlan::Redis) => Self::Fixed(HELLO.to_vec()),
            Operation::Session(SessionPlan::Postgres) => {
                let mut bytes = Vec::new();
                postgres::begin_session(&mut bytes);
                Self::Fixed(bytes)
            }
            Operation::Declare(plan) => match declaration::encoded(plan) {
                Some(bytes) => Self::Fixed(bytes),
                None => Self::Declare(Box::new(plan.clone()), Arc::clone(safety)),
            },
            Operation::Dns(question) => Self::Dns {
                name: question.name.clone(),
                record: question.record,
                recursion: question.recursion,
                over_tcp: protocol == Protocol::DnsTcp,
            },
        }
    }

    /// The bytes of a request that is the same for each call.
    pub(crate) fn as_static(&self) -> Option<&[u8]> {
        match self {
            Self::Fixed(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Renders the request of one call into `buffer`.
    pub(crate) fn render(
        &self,
        scope: &mut RenderScope<'_>,
        buffer: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        buffer.clear();
        match self {
            Self::Fixed(bytes) => buffer.extend_from_slice(bytes),
            Self::Redis(parts) => {
                for part in parts {
                    match part {
                        RedisPart::Encoded(bytes) => buffer.extend_from_slice(bytes),
                        RedisPart::Word(word) => {
                            scratch.clear();
                            word.render(scope, scratch)?;
                            encode::redis_word(buffer, scratch);
                        }
                    }
                }
            }
            Self::Bytes(text) => text.render(scope, buffer)?,
            Self::Bind { parse, name, params } => {
                buffer.extend_from_slice(parse);
                let start = sql_encode::begin_bind(buffer, name, params.len() as u16);
                for param in params {
                    let value = sql_value(param.as_ref(), scope, scratch)?;
                    sql_encode::parameter(buffer, value).map_err(unusable)?;
                }
                sql_encode::end_execution(buffer, start).map_err(unusable)?;
            }
            Self::Query(text) => {
                scratch.clear();
                text.render(scope, scratch)?;
                sql_encode::query(buffer, scratch).map_err(unusable)?;
            }
            Self::Copy(copy) => copy.render(scope, buffer, scratch)?,
            Self::MqttConnect(connect) => mqtt_connect(connect, scope, buffer)?,
            Self::Declare(plan, safety) => declaration::render((plan, safety), scope, buffer)?,
            Self::Topic(topic, safety) => {
                scratch.clear();
                topic.name.render(scope, scratch)?;
                if let Some(why) = safety.destination_denial(scratch) {
                    return Err(RenderError::Denied(why));
                }
                kafka::topic_request(buffer, &topic.plan, &String::from_utf8_lossy(scratch));
            }
            Self::Dns { name, record, recursion, over_tcp } => {
                scratch.clear();
                name.render(scope, scratch)?;
                let id = scope.rng.random();
                let question = (&**scratch, *record);
                encode::dns_query(buffer, id, question, *recursion, *over_tcp).map_err(|why| {
                    let name = String::from_utf8_lossy(scratch);
                    RenderError::Invalid(format!("`{name}` {why}"))
                })?;
            }
        }
        Ok(())
    }
}

/// Renders CONNECT.
fn mqtt_connect(
    connect: &MqttConnect,
    scope: &mut RenderScope<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), RenderError> {
    let mut rendered = |template: &Option<Template>| {
        let mut text = Vec::new();
        let template = template.as_ref().map(|template| template.render(scope, &mut text));
        template.transpose().map(|found| found.map(|()| text))
    };
    let client_id = rendered(&connect.client_id)?;
    let (user, password) = (rendered(&connect.user)?, rendered(&connect.password)?);
    let will = connect.will.as_ref();
    let topic = rendered(&will.map(|will| will.topic.clone()))?.unwrap_or_default();
    let payload = rendered(&will.map(|will| will.payload.clone()))?.unwrap_or_default();
    // 22 characters: 3.1.1 guarantees no more than 23.
    let own = || format!("manada{:016x}", scope.rng.random::<u64>()).into_bytes();
    let client_id = client_id.unwrap_or_else(own);
    let parts = ConnectParts {
        client_id: &client_id,
        user: user.as_deref(),
        password: password.as_deref(),
        will: will.map(|will| WillParts {
            topic: &topic,
            payload: &payload,
            qos: will.qos,
            is_retained: will.is_retained,
        }),
    };
    mqtt_connect::connect(buffer, &connect.settings, &parts)
        .map_err(|why| RenderError::Invalid(format!("a part of CONNECT {why}")))
}

fn unusable(why: &'static str) -> RenderError {
    RenderError::Invalid(format!("the statement {why}"))
}

/// `scenario` has encoded the fixed parts before, so that they cannot fail here.
fn sql(statement: &SqlStatement) -> PreparedOperation {
    let (mut bytes, text) = (Vec::new(), &statement.text);
    let fixed = text.as_static();
    if statement.mode == SqlMode::Simple {
        return match fixed {
            Some(fixed) if sql_encode::query(&mut bytes, fixed).is_ok() => {
                PreparedOperation::Fixed(bytes)
            }
            _ => PreparedOperation::Query(text.clone()),
        };
    }
    let name = match statement.mode {
        SqlMode::Prepared => sql_encode::statement_name(statement.id),
        _ => String::new(),
    };
    let _ = sql_encode::parse(&mut bytes, &name, fixed.unwrap_or_default());
    PreparedOperation::Bind { parse: bytes, name, params: statement.params.clone() }
}

fn redis(batch: &RedisBatch) -> PreparedOperation {
    let (mut parts, mut encoded) = (Vec::new(), Vec::new());
    let is_transaction = batch.form == BatchForm::Transaction;
    let fixed = |encoded: &mut Vec<u8>, name: &[u8]| {
        if is_transaction {
            encode::redis_command(encoded, 1);
            encode::redis_word(encoded, name);
        }
    };
    fixed(&mut encoded, b"MULTI");
    for command in &batch.commands {
        encode::redis_command(&mut encoded, command.words.len());
        for word in &command.words {
            match word.as_static() {
                Some(bytes) => encode::redis_word(&mut encoded, bytes),
                None => {
                    parts.push(RedisPart::Encoded(std::mem::take(&mut encoded)));
                    parts.push(RedisPart::Word(word.clone()));
                }
            }
        }
    }
    fixed(&mut encoded, b"EXEC");
    if parts.is_empty() {
        return PreparedOperation::Fixed(encoded);
    }
    parts.push(RedisPart::Encoded(encoded));
    PreparedOperation::Redis(parts)
}
