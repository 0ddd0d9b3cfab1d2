//! What a connection logs in with, made once for each service of a shard.
//!
//! `connect::endpoint` keeps it, `login` sends it.
//! Invariant: without credentials and database there is none, unless the protocol always begins
//! with a login.

use crate::plan::Address;
use crate::plan::operation::{BatchForm, RedisBatch, RedisCommand};
use crate::plan::transport::{Login, TransportConfig};
use crate::protocol::Protocol;
use crate::template::Template;
use crate::wire::framed::amqp_login::AmqpLogin;
use crate::wire::framed::encode;
use crate::wire::framed::kafka_login::KafkaLogin;
use crate::wire::framed::sql_login::SqlLogin;

/// What logs in to a server.
#[derive(Debug)]
pub(in crate::wire) enum LoginRequest {
    Redis(RedisLogin),
    Sql(SqlLogin),
    Amqp(AmqpLogin),
    Kafka(KafkaLogin),
    /// The handshake of WebSocket that its protocol goes over.
    WebSocket(WebSocketLogin),
}

impl LoginRequest {
    /// What logs in to the server at this address; `None` if it needs nothing.
    pub(in crate::wire) fn new(address: &Address, transport: &TransportConfig) -> Option<Self> {
        if address.is_over_websocket() {
            return Some(Self::WebSocket(WebSocketLogin::new(address)));
        }
        let login = transport.login.as_ref();
        match address.protocol {
            // A server of PostgreSQL waits for a startup before anything else.
            Protocol::Postgres => {
                let login = login.cloned().unwrap_or_default();
                Some(Self::Sql(SqlLogin::new(&login)))
            }
            // A broker of AMQP answers nothing before a login.
            Protocol::Amqp => {
                let login = login.cloned().unwrap_or_default();
                Some(Self::Amqp(AmqpLogin::new(&login)))
            }
            Protocol::Kafka => {
                let login = login.and_then(|login| KafkaLogin::new(login, transport.kafka_login));
                login.map(Self::Kafka)
            }
            Protocol::Redis => login.and_then(RedisLogin::new).map(Self::Redis),
            // CONNECT of MQTT has the credentials.
            _ => None,
        }
    }
}

/// What upgrades a connection to WebSocket.
#[derive(Debug)]
pub(in crate::wire) struct WebSocketLogin {
    /// The request up to the lines of the handshake.
    pub(in crate::wire) head: String,
    pub(in crate::wire) subprotocols: [String; 1],
}

impl WebSocketLogin {
    fn new(address: &Address) -> Self {
        let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", address.prefix, address.authority());
        Self { head, subprotocols: ["mqtt".to_owned()] }
    }
}

/// The commands that log in to a Redis server, and their bytes.
#[derive(Debug)]
pub(in crate::wire) struct RedisLogin {
    pub(in crate::wire) bytes: Vec<u8>,
    /// What its replies are read as.
    pub(in crate::wire) batch: RedisBatch,
}

impl RedisLogin {
    /// The commands for a login; `None` if it needs none.
    fn new(login: &Login) -> Option<Self> {
        let mut commands: Vec<Vec<&str>> = Vec::new();
        match (login.user.as_deref(), login.password.as_deref()) {
            (None, Some(password)) => commands.push(vec!["AUTH", password]),
            (Some(user), password) => commands.push(vec!["AUTH", user, password.unwrap_or("")]),
            (None, None) => {}
        }
        if let Some(database) = login.database.as_deref() {
            commands.push(vec!["SELECT", database]);
        }
        let mut bytes = Vec::new();
        for words in &commands {
            encode::redis_command(&mut bytes, words.len());
            words.iter().for_each(|word| encode::redis_word(&mut bytes, word.as_bytes()));
        }
        let words = |words: Vec<&str>| words.into_iter().map(Template::literal).collect();
        let commands: Vec<_> =
            commands.into_iter().map(|command| RedisCommand { words: words(command) }).collect();
        let batch = RedisBatch { commands, form: BatchForm::Pipeline };
        (!bytes.is_empty()).then_some(Self { bytes, batch })
    }
}
