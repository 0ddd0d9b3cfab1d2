//! Tests of streams through `wire` itself, against scripted raw servers on 127.0.0.1.

#[path = "streams/amqp.rs"]
mod amqp;
#[path = "streams/client.rs"]
mod client;
#[path = "streams/events.rs"]
mod events;
#[path = "streams/hostile.rs"]
mod hostile;
#[path = "streams/http2.rs"]
mod http2;
#[path = "streams/kafka.rs"]
mod kafka;
#[path = "streams/kafka_broker.rs"]
mod kafka_broker;
#[path = "streams/kafka_group.rs"]
mod kafka_group;
#[path = "streams/kafka_links.rs"]
mod kafka_links;
#[path = "streams/kafka_transactions.rs"]
mod kafka_transactions;
#[path = "streams/link.rs"]
mod link;
#[path = "streams/mqtt.rs"]
mod mqtt;
#[path = "streams/observed.rs"]
mod observed;
#[path = "streams/server.rs"]
mod server;
#[path = "streams/session.rs"]
mod session;
#[path = "streams/tls.rs"]
mod tls;
