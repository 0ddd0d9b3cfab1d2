//! Pings on an HTTP/2 connection: whether its target is alive.
//!
//! `connection` drives them beside the connection.
//! Invariant: pings are sent while a call is open only: servers close connections that are asked
//! without one. What the target sends is as good as an answer.

use std::task::{Context, Poll};

use h2::{Ping, PingPong};

use crate::clock::{self, Time, Timer};
use crate::plan::transport::PingInterval;
use crate::wire::http2::traffic::ConnectionTraffic;

/// The pings of a connection.
pub(super) struct ConnectionPings {
    interval: PingInterval,
    pings: PingPong,
    /// When the ping was sent that has no answer; `None` if there is none.
    sent: Option<Time>,
    timer: Timer,
}

impl ConnectionPings {
    pub(super) fn new(interval: PingInterval, pings: PingPong) -> Self {
        Self { interval, pings, sent: None, timer: Timer::new() }
    }

    /// Ready if a ping had no answer in time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, traffic: &ConnectionTraffic) -> Poll<()> {
        loop {
            if self.sent.is_some() && self.pings.poll_pong(cx).is_ready() {
                // An error is the connection's end, which its own task meets.
                self.sent = None;
            }
            // The connection wakes this task when the next call begins.
            let Some(busy_since) = traffic.busy_since() else { return Poll::Pending };
            let heard = traffic.last_read.get();
            let deadline = match self.sent {
                Some(sent) => sent.max(heard) + self.interval.pong,
                None => busy_since.max(heard) + self.interval.after,
            };
            if clock::now() < deadline {
                self.timer.set(deadline);
                if self.timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            if self.sent.is_some() {
                return Poll::Ready(());
            }
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            self.sent = Some(clock::now());
        }
    }
}
