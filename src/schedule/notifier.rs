//! Sends notifications to a webhook, on a thread of its own.
//!
//! `execution` gives it bodies through a bounded queue.
//! Invariant: a webhook that is down or slow delays no run; what it does not take in a bounded time
//! is dropped, and said.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::run_control::Told;
use crate::clock;
use crate::printable::printable;
use crate::redact::redact_secrets;
use crate::side_client::{cause, side_client};

/// Notifications that wait.
const QUEUE: usize = 64;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The waits before further attempts.
const RETRIES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// How long the end of a scheduler waits for notifications.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The thread that sends notifications.
#[derive(Debug)]
pub(super) struct Notifier {
    queue: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    /// Is disconnected at the end of the thread.
    done: Receiver<()>,
    /// Ends the waits of the thread when it is dropped.
    end: Option<SyncSender<()>>,
}

/// Where notifications are given to.
#[derive(Clone)]
pub(super) struct NotifierHandle {
    queue: SyncSender<String>,
    told: Arc<Told>,
}

impl Notifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system provides no thread, or the URL cannot be used, as text.
    pub(super) fn start(url: &str, told: Arc<Told>) -> Result<(Self, NotifierHandle), String> {
        let client = side_client(url, TIMEOUT).map_err(|why| format!("notify: {why}"))?;
        let url =
            reqwest::Url::parse(url).map_err(|error| format!("notify: invalid URL: {error}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("notify: {error}"))?;
        let (queue, bodies) = sync_channel::<String>(QUEUE);
        let (end, ended) = sync_channel::<()>(1);
        let (finished, done) = sync_channel::<()>(1);
        let teller = Arc::clone(&told);
        let thread = std::thread::Builder::new().name("notify".to_owned()).spawn(move || {
            let _finished = finished;
            for body in bodies {
                let send = || runtime.block_on(post(&client, url.clone(), body.clone()));
                if let Err(why) = with_retries(send, &ended) {
                    let why = redact_secrets(&printable(&why)).into_owned();
                    teller(&format!("a notification was not delivered: {why}"));
                }
            }
        });
        let thread = thread.map_err(|error| format!("notify: {error}"))?;
        let handle = NotifierHandle { queue: queue.clone(), told };
        let notifier = Self { queue: Some(queue), thread: Some(thread), done, end: Some(end) };
        Ok((notifier, handle))
    }

    /// Waits for what is queued, within a bounded time; not at all if `is_now`.
    pub(super) fn finish(mut self, is_now: bool) {
        self.queue = None;
        if is_now {
            return;
        }
        let until = clock::now() + LAST_WAIT;
        let is_done = |wait| self.done.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected);
        if !is_done(LAST_WAIT / 2) {
            // What is left gets one attempt each.
            self.end = None;
            if !is_done(until - clock::now()) {
                return;
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl NotifierHandle {
    /// Gives a notification to the thread, or drops it if too many wait.
    pub(super) fn send(&self, body: &Value) {
        let text = redact_secrets(&body.to_string()).into_owned();
        if let Err(TrySendError::Full(_)) = self.queue.try_send(text) {
            (self.told)("a notification was dropped: the webhook is too slow");
        }
    }
}

async fn post(
    client: &reqwest::Client,
    url: reqwest::Url,
    body: String,
) -> Result<(), PostFailure> {
    let request = client.post(url).header("content-type", "application/json").body(body);
    let response = request.send().await;
    let response = response.map_err(|error| PostFailure { why: cause(&error), is_final: false })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    // What the webhook does not understand now, it never will.
    let is_final = status.is_client_error() && ![408, 429].contains(&status.as_u16());
    Err(PostFailure { why: format!("status {}", status.as_u16()), is_final })
}

/// Why an attempt failed.
#[derive(Debug)]
struct PostFailure {
    why: String,
    /// Whether a further attempt is of no use.
    is_final: bool,
}

/// Sends until it succeeds or no attempts are left; no wait goes on when `ended` is disconnected.
fn with_retries(
    mut send: impl FnMut() -> Result<(), PostFailure>,
    ended: &Receiver<()>,
) -> Result<(), String> {
    let mut waits = RETRIES.into_iter();
    loop {
        let failed = match send() {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        let Some(wait) = waits.next().filter(|_| !failed.is_final) else { return Err(failed.why) };
        if ended.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return Err(failed.why);
        }
    }
}
