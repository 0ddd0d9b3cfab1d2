//! One event stream, from its head to its end.
//!
//! `connection` serves it between two requests, and publishes what is posted.
//! Invariant: a stream is counted as opened and as closed exactly once: `finished` after its last
//! event, `cancelled` if the client closes before.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::AsyncWriteExt;

use super::super::query::{QueryString, decoded};
use super::super::reply::{MediaType, Response};
use super::super::shared::ServerShared;
use super::super::socket::ClientSocket;
use super::super::streams::counts::{ServerStreamCount, StreamClose};
use super::super::streams::pieces::{LAST_CHUNK, write_pieces};
use super::super::streams::queue::{DeliveryQueue, Packet};
use super::super::streams::schedule::{TickSchedule, tick_text};
use super::super::streams::writer::PacketWriter;
use super::request::EventRequest;
use crate::clock::{self, Time, Timer};
use crate::units::Rate;

/// A stream that is counted as open. Dropping it without an end counts it as cancelled.
struct OpenEventStream {
    shared: Arc<ServerShared>,
    close: StreamClose,
    queue: Arc<DeliveryQueue>,
    writer: PacketWriter,
}

impl Drop for OpenEventStream {
    fn drop(&mut self) {
        let counts = &self.shared.counts.streams;
        counts.add(ServerStreamCount::Cut, self.queue.clear() + self.writer.messages());
        counts.close(self.close);
    }
}

/// Serves a stream; returns whether the connection can be used for another request.
pub(in crate::testserver) async fn serve(
    socket: &mut ClientSocket,
    request: EventRequest,
) -> io::Result<bool> {
    let shared = Arc::clone(&socket.local.shared);
    let queue = Arc::new(DeliveryQueue::default());
    shared.counts.streams.open();
    let mut open = OpenEventStream {
        shared: Arc::clone(&shared),
        close: StreamClose::Cancelled,
        queue: Arc::clone(&queue),
        writer: PacketWriter::default(),
    };
    let style = request.style();
    let (listener, missed) =
        shared.events.listen(&request.name, style, queue, request.last_id, request.buffer);
    request.render(&mut socket.output);
    socket.flush().await?;
    let retry = format!("retry: {}", request.retry.as_millis());
    open.writer.push(Packet::of(style.encode_line(&retry), 0), 0);
    for event in &missed {
        open.writer.push(Packet::one(style.encode(event)), 0);
    }
    drop(missed);
    if let Some((rate, size)) = request.ticks
        && listener.starts_ticks()
    {
        tokio::task::spawn_local(tick(shared, request.name.clone(), rate, size));
    }
    if !stream(socket, &request, &mut open).await? {
        return Ok(false);
    }
    open.close = StreamClose::Finished;
    drop(listener);
    if request.is_closed {
        return Ok(false);
    }
    socket.stream.write_all(LAST_CHUNK).await?;
    Ok(true)
}

/// Writes events until the last one; returns false if the client closed before.
async fn stream(
    socket: &mut ClientSocket,
    request: &EventRequest,
    open: &mut OpenEventStream,
) -> io::Result<bool> {
    let (style, timer) = (request.style(), Timer::new());
    let mut left = request.count.unwrap_or(u64::MAX);
    loop {
        // Events beyond the last one are not written.
        open.writer.packets.truncate(usize::try_from(left).unwrap_or(usize::MAX).saturating_add(
            usize::from(open.writer.packets.front().is_some_and(|packet| packet.messages == 0)),
        ));
        left -= open.writer.messages();
        if request.is_split {
            write_split(socket, open, !request.is_closed).await?;
        } else if !write_whole(socket, open).await? {
            return Ok(false);
        }
        if left == 0 {
            return Ok(true);
        }
        timer.set(clock::now() + request.keep_alive);
        let here = poll_fn(|cx| {
            if let Poll::Ready(end) = socket.poll_closed(cx) {
                return Poll::Ready(end.map(|()| false));
            }
            if open.queue.poll_take(cx, &mut open.writer.packets) {
                return Poll::Ready(Ok(true));
            }
            if timer.poll(cx).is_ready() {
                open.writer.push(Packet::of(style.encode_line(": keep-alive"), 0), 0);
                return Poll::Ready(Ok(true));
            }
            Poll::Pending
        });
        if !here.await? {
            return Ok(false);
        }
    }
}

/// Writes all packets; returns false if the client closed before.
async fn write_whole(socket: &mut ClientSocket, open: &mut OpenEventStream) -> io::Result<bool> {
    poll_fn(|cx| {
        let counts = &open.shared.counts.streams;
        match open.writer.poll_write(&mut socket.stream, counts, cx) {
            Poll::Ready(written) => Poll::Ready(written.map(|()| true)),
            // A client that does not read may close.
            Poll::Pending => socket.poll_closed(cx).map(|end| end.map(|()| false)),
        }
    })
    .await
}

/// Writes all packets in pieces of a few bytes, each a chunk of its own.
async fn write_split(
    socket: &mut ClientSocket,
    open: &mut OpenEventStream,
    is_chunked: bool,
) -> io::Result<()> {
    while let Some(packet) = open.writer.packets.front() {
        write_pieces(&mut socket.stream, &packet.bytes, is_chunked).await?;
        let messages = u64::from(packet.messages);
        if let Some(received) = packet.received {
            open.shared.counts.streams.fan_out.record(clock::now() - received);
        }
        open.shared.counts.streams.add(ServerStreamCount::Sent, messages);
        open.writer.packets.pop_front();
    }
    Ok(())
}

/// Publishes at a set rate while the channel has listeners.
async fn tick(shared: Arc<ServerShared>, name: String, rate: Rate, size: usize) {
    let schedule = TickSchedule::new(shared.started, rate, 1);
    let mut tick = schedule.next(clock::now());
    let mut text = String::new();
    while shared.events.keeps_ticking(&name) {
        let missed = schedule.wait(&mut tick).await;
        shared.counts.streams.add(ServerStreamCount::Skipped, missed);
        tick_text(tick, schedule.due(tick), size, &mut text);
        let event = Some("tick".to_owned());
        shared.publish(&name, event, text.clone(), None);
        tick += 1;
        // A schedule that is late does not wait: other tasks get a turn all the same.
        tokio::task::yield_now().await;
    }
}

/// Publishes the body of a request that was received at this time; fills in the response: how many
/// listeners there are.
pub(in crate::testserver) fn publish(
    shared: &ServerShared,
    target: &str,
    received: Time,
    body: &[u8],
    body_length: u64,
    reply: &mut Response,
) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if body_length > body.len() as u64 {
        return reply.fill_status(413);
    }
    // Lines of the event stream must not be made up by a name.
    let event = QueryString(query).text("event").filter(|name| !name.contains(['\r', '\n']));
    let name = decoded(path.strip_prefix("/publish/").unwrap_or(""));
    shared.counts.streams.add(ServerStreamCount::Received, 1);
    let data = String::from_utf8_lossy(body).replace('\r', "");
    let listeners = shared.publish(&name, event, data, Some(received));
    reply.reset(MediaType::Json);
    reply.text("{\"subscribers\":");
    reply.number(listeners as u64);
    reply.text("}");
}
