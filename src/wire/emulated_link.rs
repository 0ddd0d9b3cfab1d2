//! A user's own way to the network, slower than ours: a phone, a distant country.
//!
//! `http1` goes through it where a user has one; all of the user's connections share it.
//! Invariant: what it costs is waited in the user's own time, and no deadline is longer for it.
//!
//! What is simulated: `latency` once more for each round trip (connect, TLS, a request and its
//! answer), and bytes per second either way. We do not read faster than the link lets through, and
//! the socket's own buffer is small, so the target feels it too. No loss, no slow start of TCP.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::connection::{OpenConnection, gave_up};
use super::deadline::{CallDeadline, WaitEnded};
use super::framing::ResponseReader;
use super::http1::{self, ExchangeEnd, ExchangeTimes, Http1, ResponseSource};
use super::response_capture::ResponseCapture;
use super::throttled_pipe::ThrottledPipe;
use super::{ConnectionSlot, Outgoing};
use crate::clock::{self, Time, Timer};
use crate::plan::transport::LinkProfile;
use crate::stats::{AttemptOutcome, AttemptPhase};
use crate::units::nanos;

/// The buffers asked of the kernel: what is on its way through a link, at least and at most. Above
/// it the kernel's own size is as small.
const BUFFERS: (u64, u64) = (16 << 10, 128 << 10);

/// What is on its way is at least what comes in so long, ns.
const ON_ITS_WAY_NS: u64 = 50_000_000;

/// A user's way; its parallel calls share it.
#[derive(Debug)]
pub struct EmulatedLink {
    link: LinkProfile,
    up: Cell<ThrottledPipe>,
    down: Cell<ThrottledPipe>,
}

impl EmulatedLink {
    /// A way over this link, with nothing on it.
    pub const fn new(link: LinkProfile) -> Self {
        let (up, down) =
            (Cell::new(ThrottledPipe::new(link.up)), Cell::new(ThrottledPipe::new(link.down)));
        Self { link, up, down }
    }

    /// The link it goes over.
    pub const fn link(&self) -> LinkProfile {
        self.link
    }

    /// Waits for one round trip more.
    pub(super) async fn round_trip(&self, patience: &CallDeadline) -> Result<(), WaitEnded> {
        until(clock::now() + self.link.latency, patience).await
    }

    /// When a request that leaves now is at the target.
    pub(super) fn out(&self, now: Time, bytes: u64) -> Time {
        let mut up = self.up.get();
        up.begin(now);
        let out = up.carry(now, bytes);
        self.up.set(up);
        out.after(nanos(self.link.latency) / 2)
    }

    /// When bytes that come from the target now are through, but for the way home; `first`: an
    /// answer begins with them.
    pub(super) fn through(&self, now: Time, bytes: u64, first: bool) -> Time {
        let mut down = self.down.get();
        if first {
            down.begin(now);
        }
        let through = down.carry(now, bytes);
        self.down.set(down);
        through
    }

    /// The way home, ns.
    pub(super) fn home_ns(&self) -> u64 {
        let latency_ns = nanos(self.link.latency);
        latency_ns - latency_ns / 2
    }

    /// The receive buffer of its sockets; none: the kernel's choice is small enough.
    pub(super) fn buffer(&self) -> Option<u32> {
        let way_ns = nanos(self.link.latency).max(ON_ITS_WAY_NS);
        let bytes = u128::from(self.link.down?) * u128::from(way_ns) / 1_000_000_000;
        let bytes = bytes.max(u128::from(BUFFERS.0));
        u32::try_from(bytes).ok().filter(|bytes| u64::from(*bytes) <= BUFFERS.1)
    }
}

/// Waits until `at`, or as long as the patience lasts.
pub(super) async fn until(at: Time, patience: &CallDeadline) -> Result<(), WaitEnded> {
    patience.wait(clock::sleep_until(at)).await
}

/// A request and its answer over a link, boxed: other users carry no room for it.
#[cold]
pub(super) fn converse<'a>(
    http1: &'a Http1,
    way: &'a EmulatedLink,
    line: &'a mut ConnectionSlot,
    outgoing: &'a Outgoing<'a>,
    patience: &'a CallDeadline,
    kept: &'a mut ResponseCapture,
    account: &'a mut ExchangeTimes,
) -> Pin<Box<dyn Future<Output = ExchangeEnd> + 'a>> {
    Box::pin(async move {
        let arrives = way.out(clock::now(), outgoing.bytes.len() as u64);
        if let Err(why) = until(arrives, patience).await {
            return ExchangeEnd::Failed(gave_up(why, AttemptPhase::Send));
        }
        let mut answer = LinkedResponse { http1, way, timer: Timer::new(), through: None };
        let ended = http1::converse(&mut answer, line, outgoing, patience, kept, account).await;
        let through = answer.through;
        let home = arrive(way, through, ended, patience, account).await;
        if account.first_byte > clock::now() {
            // Nobody waited for it.
            account.first_byte = Time::NEVER;
        }
        if !matches!(home, ExchangeEnd::Answered(_)) {
            line.close();
        } else if let Some(connection) = &mut line.connection {
            connection.idle_since = account.done;
        }
        home
    })
}

/// What came, or that nothing will, is still on its way home.
async fn arrive(
    way: &EmulatedLink,
    through: Option<Time>,
    ended: ExchangeEnd,
    patience: &CallDeadline,
    account: &mut ExchangeTimes,
) -> ExchangeEnd {
    if let ExchangeEnd::Failed(
        AttemptOutcome::Timeout(_) | AttemptOutcome::Unfinished(_) | AttemptOutcome::Own(_),
    ) = ended
    {
        return ended;
    }
    let home = through.unwrap_or(Time(0)).max(clock::now()).after(way.home_ns());
    let waited = until(home, patience).await;
    account.done = clock::now();
    match waited {
        Ok(()) => ended,
        Err(why) if through.is_some() => ExchangeEnd::Failed(gave_up(why, AttemptPhase::Body)),
        Err(why) => ExchangeEnd::Failed(gave_up(why, AttemptPhase::FirstByte)),
    }
}

/// An answer that comes through a link piece by piece.
struct LinkedResponse<'a> {
    http1: &'a Http1,
    way: &'a EmulatedLink,
    timer: Timer,
    /// When what was read is through; none before the first byte.
    through: Option<Time>,
}

impl ResponseSource for &mut LinkedResponse<'_> {
    fn poll(
        &mut self,
        connection: &mut OpenConnection,
        cx: &mut Context<'_>,
        reader: &mut ResponseReader,
        kept: &mut ResponseCapture,
        account: &mut ExchangeTimes,
    ) -> Poll<ExchangeEnd> {
        loop {
            // What is not read fills the kernel's buffer, and then the target has to wait.
            if let Some(through) = self.through
                && through > clock::now()
            {
                self.timer.set(through);
                ready!(self.timer.poll(cx));
            }
            let mut buffer = self.http1.buffer();
            let piece = &mut buffer[..self.way.down.get().piece()];
            let before = kept.progress.bytes_received;
            let ended = ready!(http1::read_piece(connection, cx, piece, reader, kept, account));
            let (first, count) = (self.through.is_none(), kept.progress.bytes_received - before);
            if count > 0 {
                let through = self.way.through(clock::now(), count, first);
                if first {
                    account.first_byte = through.after(self.way.home_ns());
                }
                self.through = Some(through);
            }
            if let Some(ended) = ended {
                return Poll::Ready(ended);
            }
        }
    }
}
