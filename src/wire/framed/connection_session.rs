//! What a connection knows from its login or from one exchange to the next, by protocol.
//!
//! `connect::connection` keeps it.
//! Invariant: connections of HTTP, and of protocols without a session, hold no room for it but a
//! pointer.

use crate::wire::broker::amqp::limits::AmqpLimits;
use crate::wire::framed::sql_session::SqlSession;
use crate::wire::websocket::byte_pipe::BytePipe;

/// What a connection knows.
#[derive(Debug)]
pub(in crate::wire) enum ConnectionSession {
    /// Prepared statements and transactions of PostgreSQL.
    Sql(SqlSession),
    /// What AMQP agreed on.
    Amqp(AmqpLimits),
    /// The number of the address that a connection to a cluster of Kafka was opened to.
    Kafka(usize),
    /// The frames of WebSocket that carry its bytes.
    WebSocket(BytePipe),
}
