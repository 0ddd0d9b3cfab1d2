//! Batches on their way to a receiver: a bounded queue, and a thread that sends them.
//!
//! Sinks that push add batches; `cli` waits for the rest after the run, and prints what was lost.
//! Invariant: a receiver that is down, slow or wrong never delays the run: the oldest batch gives
//! way, and each batch is counted as delivered, rejected or dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::LastWait;
use crate::clock::{self, Time};
use crate::units::{counted, show_count};

/// Maximum number of waiting batches.
const MAX_BATCHES: usize = 64;

/// Maximum size of all waiting batches, bytes.
const MAX_BYTES: usize = 32 << 20;

/// The pause after a first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause, also if a receiver demands a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Bytes that are sent at once, and the number of items in them: what is lost is counted in items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sinks) struct Batch {
    pub(in crate::sinks) bytes: Arc<[u8]>,
    pub(in crate::sinks) items: u64,
}

impl Batch {
    /// A batch of this number of items.
    pub(in crate::sinks) fn new(bytes: Vec<u8>, items: u64) -> Self {
        Self { bytes: bytes.into(), items }
    }
}

impl From<Vec<u8>> for Batch {
    /// A request that is counted as a whole.
    fn from(request: Vec<u8>) -> Self {
        Self::new(request, 1)
    }
}

/// What became of an attempt to send a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sinks) enum SendResult {
    /// The receiver has it.
    Delivered,
    /// It may be sent again; after this pause if the receiver demands one.
    Retry(Option<Duration>, String),
    /// It will never be taken.
    Rejected(String),
    /// It is too large: these are sent in its place.
    Split(Vec<Batch>),
    /// The receiver decided item by item.
    Partly(PartResult),
}

/// What became of the items of a batch; those that are neither rejected nor to be sent again were
/// taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sinks) struct PartResult {
    /// How many will never be taken.
    pub(in crate::sinks) rejected: u64,
    /// Those that may be sent again.
    pub(in crate::sinks) again: Option<Batch>,
    /// Why items were rejected, or are sent again.
    pub(in crate::sinks) why: String,
}

/// Sends batches to a receiver.
pub(in crate::sinks) trait BatchSender: Send + 'static {
    /// Sends a batch; takes a bounded time.
    fn send(&mut self, batch: &Batch) -> SendResult;
}

/// What the items of a receiver are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sinks) enum DeliveryItem {
    /// Requests with this content.
    Request(&'static str),
    /// Datagrams with metrics.
    Datagram,
    /// Points of line protocol.
    Point,
    /// Documents.
    Document,
}

impl DeliveryItem {
    /// A number of them.
    fn counted(self, n: u64) -> String {
        match self {
            Self::Request(content) => format!("{} with {content}", counted(n, "request")),
            Self::Datagram => format!("{} with metrics", counted(n, "datagram")),
            Self::Point => counted(n, "point"),
            Self::Document => counted(n, "document"),
        }
    }
}

/// What became of all items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sinks) struct DeliveryCounts {
    pub(in crate::sinks) delivered: u64,
    pub(in crate::sinks) rejected: u64,
    pub(in crate::sinks) dropped: u64,
    /// Why the last one failed that was lost.
    pub(in crate::sinks) why: Option<String>,
}

impl DeliveryCounts {
    /// What was lost, for the user; `None` if nothing was.
    pub(in crate::sinks) fn loss(&self, receiver: &str, item: DeliveryItem) -> Option<String> {
        let lost = self.rejected + self.dropped;
        if lost == 0 {
            return None;
        }
        let all = item.counted(self.delivered + lost);
        let why = self.why.as_deref().unwrap_or("it was too slow");
        Some(format!(
            "{receiver}: {} of {all} lost: {why}; the report is complete",
            show_count(lost)
        ))
    }
}

/// The queue to a receiver.
#[derive(Debug)]
pub(in crate::sinks) struct Delivery {
    shared: Arc<DeliveryState>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct DeliveryState {
    queue: Mutex<BatchQueue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BatchQueue {
    waiting: VecDeque<Batch>,
    bytes: usize,
    is_closed: bool,
    /// Set once nothing may be waited for any more.
    is_given_up: bool,
    counts: DeliveryCounts,
    /// Why the last attempt failed.
    failure: Option<String>,
}

impl BatchQueue {
    fn push(&mut self, batch: Batch) {
        self.bytes += batch.bytes.len();
        self.waiting.push_back(batch);
        while self.waiting.len() > MAX_BATCHES || self.bytes > MAX_BYTES && self.waiting.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.waiting.pop_front() {
            self.bytes -= oldest.bytes.len();
            self.counts.dropped += oldest.items;
            self.counts.why.clone_from(&self.failure);
        }
    }

    /// Takes a batch that was sent off the queue; it may have been dropped meanwhile. `rest`: what
    /// of it is sent again, in its place.
    fn take(&mut self, batch: &Batch, rest: impl IntoIterator<Item = Batch>) {
        let is_first =
            self.waiting.front().is_some_and(|first| Arc::ptr_eq(&first.bytes, &batch.bytes));
        if is_first {
            self.bytes -= batch.bytes.len();
            self.waiting.pop_front();
        } else {
            self.counts.dropped -= batch.items;
        }
        let rest: Vec<Batch> = rest.into_iter().collect();
        for part in rest.into_iter().rev() {
            if is_first {
                self.bytes += part.bytes.len();
                self.waiting.push_front(part);
            } else {
                self.counts.dropped += part.items;
            }
        }
    }

    /// Settles a batch that was sent. Returns the pause before the next attempt.
    fn settle(&mut self, batch: &Batch, result: SendResult, failures: &mut u32) -> Duration {
        match result {
            SendResult::Delivered => {
                self.take(batch, None);
                self.counts.delivered += batch.items;
                self.failure = None;
                *failures = 0;
                Duration::ZERO
            }
            SendResult::Rejected(why) => {
                self.take(batch, None);
                self.counts.rejected += batch.items;
                self.counts.why = Some(why);
                *failures = 0;
                Duration::ZERO
            }
            SendResult::Split(parts) => {
                self.take(batch, parts);
                Duration::ZERO
            }
            SendResult::Partly(PartResult { rejected, again, why }) => {
                let left = again.as_ref().map_or(0, |again| again.items).min(batch.items);
                let rejected = rejected.min(batch.items - left);
                let taken = batch.items - left - rejected;
                self.counts.delivered += taken;
                self.counts.rejected += rejected;
                if rejected > 0 {
                    self.counts.why = Some(why.clone());
                }
                if taken + rejected > 0 {
                    *failures = 0;
                }
                let is_whole = again.is_none();
                self.take(batch, again);
                if is_whole {
                    self.failure = None;
                    return Duration::ZERO;
                }
                self.fail(None, why, failures)
            }
            SendResult::Retry(pause, why) => self.fail(pause, why, failures),
        }
    }

    /// Notes a failure that may pass. Returns the pause after it.
    fn fail(&mut self, pause: Option<Duration>, why: String, failures: &mut u32) -> Duration {
        self.failure = Some(why);
        let doubled = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10));
        *failures += 1;
        pause.unwrap_or_default().max(doubled).min(LONGEST_PAUSE)
    }
}

impl DeliveryState {
    fn lock(&self) -> MutexGuard<'_, BatchQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends until the queue is closed and empty.
    fn run(&self, mut sender: impl BatchSender) {
        let mut failures = 0;
        while let Some(batch) = self.next() {
            let result = sender.send(&batch);
            let pause = self.lock().settle(&batch, result, &mut failures);
            self.pause(clock::now() + pause);
        }
    }

    /// Waits for the oldest batch; `None` once there will be none.
    fn next(&self) -> Option<Batch> {
        let mut queue = self.lock();
        loop {
            if queue.is_given_up {
                return None;
            }
            if let Some(batch) = queue.waiting.front() {
                return Some(batch.clone());
            }
            if queue.is_closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until a time, or until the rest is given up.
    fn pause(&self, until: Time) {
        let mut queue = self.lock();
        while clock::now() < until && !queue.is_given_up {
            let left = Duration::from_nanos(until.since(clock::now()));
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Delivery {
    /// Starts the thread of a receiver.
    ///
    /// # Errors
    /// If the system provides no thread.
    pub(in crate::sinks) fn start(name: &str, sender: impl BatchSender) -> io::Result<Self> {
        let shared = Arc::new(DeliveryState::default());
        let state = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || state.run(sender))?;
        Ok(Self { shared, thread })
    }

    /// Takes batches, for the sink that makes them.
    pub(in crate::sinks) fn intake(&self) -> BatchIntake {
        BatchIntake { shared: Arc::clone(&self.shared) }
    }

    /// Waits for the rest. Returns what became of all.
    pub(in crate::sinks) fn finish(self, wait: LastWait<'_>) -> DeliveryCounts {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        wait.wait_while(|| !self.thread.is_finished());
        let mut queue = self.shared.lock();
        queue.is_given_up = true;
        while !queue.waiting.is_empty() {
            queue.drop_oldest();
        }
        self.shared.changed.notify_all();
        queue.counts.clone()
    }
}

/// The end of a queue at which batches come in.
#[derive(Clone, Debug)]
pub(in crate::sinks) struct BatchIntake {
    shared: Arc<DeliveryState>,
}

impl BatchIntake {
    /// Adds a batch.
    pub(in crate::sinks) fn push(&self, batch: impl Into<Batch>) {
        self.shared.lock().push(batch.into());
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
