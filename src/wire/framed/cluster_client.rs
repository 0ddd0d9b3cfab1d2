//! Exchanges with a cluster of Redis: each goes to the node that has its key, as far as is known.
//!
//! `Wire::exchange` calls it, boxed.
//! Invariant: a node that redirects has carried nothing out, so the request may be sent again;
//! where to is noted in the slot, and `engine::attempt` decides on it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;

use crate::clock;
use crate::plan::operation::{BatchForm, Operation, RedisBatch, RedisCommand};
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase};
use crate::template::Template;
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::cluster::key_slot::KeySlot;
use crate::wire::cluster::node_connections::{NextNode, OWN};
use crate::wire::cluster::nodes::ClusterNodes;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::framed::client;
use crate::wire::framed::encode;
use crate::wire::framed::redis::RedisReader;
use crate::wire::http1::client::{Http1, never_sent};
use crate::wire::outgoing::Outgoing;
use crate::wire::resend::Resend;
use crate::wire::response_reader::ReadsResponse;

/// The command that tells which node has which slots.
const CLUSTER_SLOTS: &[u8] = b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";

/// The longest reply to it: 16,384 slots of nodes with replicas.
const MAX_SLOTS_REPLY: u64 = 16 << 20;

/// Runs one exchange of an operation.
#[cold]
pub(in crate::wire) fn boxed<'a>(
    http1: &'a Http1,
    (own, nodes): (&'a ServiceEndpoint, Option<&'a ClusterNodes>),
    operation: &'a Operation,
    context: &'a mut ExchangeContext<'_>,
) -> Pin<Box<dyn Future<Output = Resend> + 'a>> {
    Box::pin(async move {
        let Some(nodes) = nodes else {
            return client::exchange(http1, own, operation, context).await;
        };
        let slot = KeySlot::of(context.outgoing.bytes);
        let redirect = context.slot.nodes.as_mut().and_then(|nodes| nodes.redirect.take());
        if nodes.begin_refresh(clock::now()) {
            let asked = redirect.map_or(OWN, |next| next.node);
            context.slot.switch_to(asked);
            let node = nodes.endpoint(asked);
            let node = node.as_deref().unwrap_or(own);
            if let Err(outcome) = refresh(http1, (own, node), nodes, context).await {
                nodes.forget(asked);
                return never_sent(context.exchange, outcome);
            }
        }
        let next = redirect.unwrap_or_else(|| nodes.node_of(slot));
        context.slot.switch_to(next.node);
        let node = nodes.endpoint(next.node);
        let endpoint = node.as_deref().unwrap_or(own);
        let resend = ask(http1, (endpoint, next), operation, context).await;
        note_redirect((own, endpoint), nodes, slot, context);
        if let AttemptOutcome::Failed(phase, _) | AttemptOutcome::Timeout(phase) =
            context.exchange.outcome
            && phase.opens()
        {
            nodes.forget(next.node);
        }
        resend
    })
}

/// Sends the request to a node, after ASKING if that is needed.
async fn ask(
    http1: &Http1,
    (endpoint, next): (&ServiceEndpoint, NextNode),
    operation: &Operation,
    context: &mut ExchangeContext<'_>,
) -> Resend {
    if !next.is_ask {
        return client::exchange(http1, endpoint, operation, context).await;
    }
    let bytes = [encode::REDIS_ASKING, context.outgoing.bytes].concat();
    let outgoing = Outgoing { bytes: &bytes, ..*context.outgoing };
    let context = &mut ExchangeContext {
        slot: &mut *context.slot,
        outgoing: &outgoing,
        deadline: context.deadline,
        capture: &mut *context.capture,
        exchange: &mut *context.exchange,
    };
    client::exchange(http1, endpoint, operation, context).await
}

/// Notes where a node sends the request, unless only a part of it belongs there.
fn note_redirect(
    (own, asked): (&ServiceEndpoint, &ServiceEndpoint),
    nodes: &ClusterNodes,
    slot: KeySlot,
    context: &mut ExchangeContext<'_>,
) {
    let AttemptOutcome::Responded(found) = context.exchange.outcome else { return };
    if !status::is_error(found) || slot == KeySlot::Several {
        return;
    }
    let words = ["MOVED", "ASK"].map(|word| status::of_word(Protocol::Redis, word));
    if !words.contains(&Some(found)) {
        return;
    }
    let next = nodes.redirect(own, asked, &context.capture.body);
    if let (Some(next), Some(connections)) = (next, &mut context.slot.nodes) {
        connections.redirect = Some(next);
    }
}

/// Asks a node which node has which slots. What it answers is only a hint: an error changes
/// nothing.
async fn refresh(
    http1: &Http1,
    (own, asked): (&ServiceEndpoint, &ServiceEndpoint),
    nodes: &ClusterNodes,
    context: &mut ExchangeContext<'_>,
) -> Result<(), AttemptOutcome> {
    if context.slot.connection.is_some() {
        http1.drop_if_dead(context.slot).await;
    }
    if context.slot.connection.is_none() {
        client::open(http1, asked, context).await?;
    }
    let Some(connection) = &mut context.slot.connection else { return Ok(()) };
    match context.deadline.wait(slots(http1, connection)).await {
        Ok(Ok(reply)) => nodes.refresh(own, asked, &reply),
        // The exchange that follows finds the connection dead, and opens another.
        Ok(Err(_)) => context.slot.close(),
        Err(why) => {
            context.slot.close();
            return Err(why.outcome(AttemptPhase::FirstByte));
        }
    }
    Ok(())
}

async fn slots(http1: &Http1, connection: &mut OpenConnection) -> io::Result<Vec<u8>> {
    let command = RedisCommand { words: vec![Template::literal("CLUSTER")] };
    let batch = RedisBatch { commands: vec![command], form: BatchForm::Single };
    let request =
        CaptureRequest { max_body: MAX_SLOTS_REPLY, keep_body: true, ..CaptureRequest::NOTHING };
    let (mut reader, mut capture) = (RedisReader::new(&batch, request), ResponseCapture::default());
    let mut sent = 0;
    poll_fn(|cx| {
        while sent < CLUSTER_SLOTS.len() {
            match connection.poll_write(cx, &CLUSTER_SLOTS[sent..])? {
                Poll::Ready(count) => sent += count,
                Poll::Pending => return Poll::Pending,
            }
        }
        if connection.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        let mut buffer = http1.buffer();
        loop {
            let count = match connection.poll_read(cx, &mut buffer)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(count) => count,
            };
            match reader.feed(&buffer[..count], &mut capture) {
                Ok(false) => {}
                Ok(true) => return Poll::Ready(Ok(capture.body.to_vec())),
                Err(_) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
        }
    })
    .await
}
