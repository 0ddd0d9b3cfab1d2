//! An HTTP/1.1 exchange over a user's emulated link.
//!
//! `http1` calls it for users that have one.
//! Invariant: the link's delays pass within the user's own time, and do not extend any deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::clock::{self, Time, Timer};
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::deadline::CallDeadline;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::http1::stream::{self, ExchangeEnd, ReadBuffer, ResponseSource};
use crate::wire::link::emulated_link::{EmulatedLink, until};
use crate::wire::response_reader::ReadsResponse;

/// Runs a request and its response over a link. Boxed: the tasks of other users hold no room for
/// it.
#[cold]
pub(in crate::wire) fn converse<'a, R: ReadsResponse + 'a>(
    buffer: &'a ReadBuffer,
    link: &'a EmulatedLink,
    reader: R,
    context: &'a mut ExchangeContext<'_>,
) -> Pin<Box<dyn Future<Output = ExchangeEnd> + 'a>> {
    Box::pin(async move {
        let arrives = link.out(clock::now(), context.outgoing.bytes.len() as u64);
        if let Err(why) = until(arrives, context.deadline).await {
            return ExchangeEnd::Failed(why.outcome(AttemptPhase::Send));
        }
        let mut response = LinkedResponse { buffer, link, timer: Timer::new(), through: None };
        let end = stream::converse(&mut response, reader, context).await;
        let through = response.through;
        let home = arrive(link, through, end, context.deadline, context.exchange).await;
        if context.exchange.first_byte > clock::now() {
            // The wait ended before the first byte would have arrived.
            context.exchange.first_byte = Time::NEVER;
        }
        if !matches!(home, ExchangeEnd::Responded(_)) {
            context.slot.close();
        } else if let Some(connection) = &mut context.slot.connection {
            connection.idle_since = context.exchange.done;
        }
        home
    })
}

/// Waits until the response, or the failure, has travelled back to the user.
async fn arrive(
    link: &EmulatedLink,
    through: Option<Time>,
    end: ExchangeEnd,
    deadline: &CallDeadline,
    exchange: &mut Exchange,
) -> ExchangeEnd {
    if let ExchangeEnd::Failed(
        AttemptOutcome::Timeout(_) | AttemptOutcome::Unfinished(_) | AttemptOutcome::Own(_),
    ) = end
    {
        return end;
    }
    let home = through.unwrap_or(Time(0)).max(clock::now()).after(link.home_ns());
    let waited = until(home, deadline).await;
    exchange.done = clock::now();
    match waited {
        Ok(()) => end,
        Err(why) if through.is_some() => ExchangeEnd::Failed(why.outcome(AttemptPhase::Body)),
        Err(why) => ExchangeEnd::Failed(why.outcome(AttemptPhase::FirstByte)),
    }
}

/// A response that passes through a link piece by piece.
struct LinkedResponse<'a> {
    buffer: &'a ReadBuffer,
    link: &'a EmulatedLink,
    timer: Timer,
    /// When the bytes read so far have passed the link; `None` before the first byte.
    through: Option<Time>,
}

impl<R: ReadsResponse> ResponseSource<R> for &mut LinkedResponse<'_> {
    fn poll(
        &mut self,
        connection: &mut OpenConnection,
        cx: &mut Context<'_>,
        reader: &mut R,
        capture: &mut ResponseCapture,
        exchange: &mut Exchange,
    ) -> Poll<ExchangeEnd> {
        loop {
            // Unread bytes fill the kernel's buffer, and then the target has to wait.
            if let Some(through) = self.through
                && through > clock::now()
            {
                self.timer.set(through);
                ready!(self.timer.poll(cx));
            }
            let mut buffer = self.buffer.borrow();
            let piece = &mut buffer[..self.link.piece()];
            let before = exchange.bytes_received;
            let had_first_byte = exchange.first_byte != Time::NEVER;
            let end = ready!(stream::read_piece(connection, cx, piece, reader, capture, exchange));
            let (first, count) = (self.through.is_none(), exchange.bytes_received - before);
            if count > 0 {
                let through = self.link.through(clock::now(), count, first);
                if !had_first_byte && exchange.first_byte != Time::NEVER {
                    exchange.first_byte = through.after(self.link.home_ns());
                }
                self.through = Some(through);
            }
            if let Some(end) = end {
                return Poll::Ready(end);
            }
        }
    }
}
