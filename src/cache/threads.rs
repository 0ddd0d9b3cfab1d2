//! A layer on threads of its own: for stores that block.
//!
//! `fleet::cache_stores` makes one of each store; shards ask it through `layer`.
//! Invariant: at most [`QUEUE`] requests wait; further ones fail at once, and requests that
//! nothing waits for any more are not carried out.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::layer::{CacheLayer, LayerReply, LayerRequest, LeaseOwner};

/// Maximum requests that wait.
const QUEUE: usize = 4_096;

/// Why a store failed; its connection is made again with the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFailure(pub String);

/// A store that blocks for a bounded time.
pub trait LayerStore: Send {
    /// Connects before the first request needs it; it is tried again with that request.
    ///
    /// # Errors
    /// If the store does not answer, or refuses.
    fn connect(&mut self) -> Result<(), LayerFailure>;

    /// Reads an entry of at most [`super::MAX_STORED`] bytes; a longer one may be cut.
    ///
    /// # Errors
    /// If the store does not answer, or refuses.
    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, LayerFailure>;

    /// Writes an entry that ends at `expires_ms`, in `left_ms`.
    ///
    /// # Errors
    /// As above.
    fn put(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        expires_ms: u64,
        left_ms: u64,
    ) -> Result<(), LayerFailure>;

    /// Removes an entry.
    ///
    /// # Errors
    /// As above.
    fn remove(&mut self, name: &str) -> Result<(), LayerFailure>;

    /// Takes the lease of an entry; returns whether it was free.
    ///
    /// # Errors
    /// As above, or if the store has no leases.
    fn lease(&mut self, name: &str, owner: LeaseOwner, ms: u64) -> Result<bool, LayerFailure>;

    /// Releases a lease, if it is this owner's.
    ///
    /// # Errors
    /// As above.
    fn release(&mut self, name: &str, owner: LeaseOwner) -> Result<(), LayerFailure>;
}

type Job = (LayerRequest, oneshot::Sender<LayerReply>);

/// Threads that carry out the requests of a layer.
#[derive(Debug)]
pub struct LayerThreads {
    queue: Option<SyncSender<Job>>,
    /// Why the store failed first.
    first_failure: Arc<Mutex<Option<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl LayerThreads {
    /// Starts a thread for each store.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(stores: Vec<Box<dyn LayerStore>>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let first_failure = Arc::new(Mutex::new(None));
        let mut threads = Vec::new();
        for mut store in stores {
            let receiver: Arc<Mutex<Receiver<Job>>> = Arc::clone(&receiver);
            let first = Arc::clone(&first_failure);
            let run = move || {
                if let Err(failure) = store.connect() {
                    lock(&first).get_or_insert(failure.0);
                }
                loop {
                    let job = lock(&receiver).recv();
                    let Ok((request, reply)) = job else { return };
                    let is_release = matches!(request, LayerRequest::Release { .. });
                    if !reply.is_closed() || is_release {
                        let done = carry_out(store.as_mut(), request).unwrap_or_else(|failure| {
                            lock(&first).get_or_insert(failure.0);
                            LayerReply::Failed
                        });
                        drop(reply.send(done));
                    }
                }
            };
            threads.push(std::thread::Builder::new().name("cache".to_owned()).spawn(run)?);
        }
        Ok(Self { queue: Some(sender), first_failure, threads })
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn carry_out(
    store: &mut dyn LayerStore,
    request: LayerRequest,
) -> Result<LayerReply, LayerFailure> {
    let done = |done: Result<(), LayerFailure>| done.map(|()| LayerReply::Done);
    match request {
        LayerRequest::Get { name } => {
            store.get(&name).map(|found| found.map_or(LayerReply::Nothing, LayerReply::Found))
        }
        LayerRequest::Put { name, bytes, expires_ms, left_ms } => {
            done(store.put(&name, bytes, expires_ms, left_ms))
        }
        LayerRequest::Remove { name } => done(store.remove(&name)),
        LayerRequest::Lease { name, owner, ms } => {
            let taken = |taken| if taken { LayerReply::Done } else { LayerReply::Nothing };
            store.lease(&name, owner, ms).map(taken)
        }
        LayerRequest::Release { name, owner } => done(store.release(&name, owner)),
    }
}

impl CacheLayer for LayerThreads {
    fn ask(&self, request: LayerRequest) -> oneshot::Receiver<LayerReply> {
        let (reply, receiver) = oneshot::channel();
        let Some(queue) = &self.queue else { return receiver };
        if let Err(TrySendError::Full((_, reply)) | TrySendError::Disconnected((_, reply))) =
            queue.try_send((request, reply))
        {
            drop(reply.send(LayerReply::Failed));
        }
        receiver
    }

    fn first_failure(&self) -> Option<String> {
        lock(&self.first_failure).clone()
    }
}

impl Drop for LayerThreads {
    /// Ends the threads after what waits: leases are released before the process ends. Each
    /// request takes a bounded time.
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
