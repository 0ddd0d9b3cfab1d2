//! The request for TLS on a connection to PostgreSQL, before the handshake.
//!
//! `open` sends it.
//! Invariant: one byte is read, so that nothing that came without encryption is taken for what came
//! with it (CVE-2021-23222).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::fault;
use crate::wire::exchange_context::ExchangeContext;

/// The message: its length, and the code 80877103.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Asks the server for TLS.
pub(super) async fn request_tls(
    endpoint: &ServiceEndpoint,
    tcp: &mut TcpStream,
    context: &ExchangeContext<'_>,
) -> Result<(), AttemptOutcome> {
    let reply = match context.deadline.wait(exchange(tcp)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => {
            let outcome = fault::outcome(AttemptPhase::Tls, &error);
            return Err(endpoint.remember_error(outcome, &error));
        }
        Err(why) => return Err(why.outcome(AttemptPhase::Tls)),
    };
    let kind = match reply {
        b'S' => {
            return context.outgoing.extra_round_trip(AttemptPhase::Tls, context.deadline).await;
        }
        b'N' => FailureKind::TlsNotOffered,
        _ => FailureKind::BadReply,
    };
    Err(AttemptOutcome::Failed(AttemptPhase::Tls, kind))
}

async fn exchange(tcp: &mut TcpStream) -> io::Result<u8> {
    tcp.write_all(&REQUEST).await?;
    tcp.read_u8().await
}
