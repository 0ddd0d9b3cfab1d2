//! The connections of an agent to the bus, each with a thread of its own: a large delta does not
//! hold a heartbeat up.
//!
//! `agent` hands it the requests, and gets the replies as inputs.
//! Invariant: the protocol has at most one heartbeat and one delta under way, so no queue grows.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::AgentError;
use super::inputs::{AgentInput, AgentOptions};
use crate::clock;
use crate::fleet::bus::{BusClient, BusTrouble};
use crate::fleet::derived::limits;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{BusRequest, FleetTimes, RequestId};
use crate::plan::Plan;

/// Requests that wait for a thread: one is under way, and one may have timed out.
const QUEUE: usize = 4;

type Request = (RequestId, Box<BusRequest<ShardDeltas>>);

/// The threads; they end when it is dropped.
pub(super) struct BusThreads {
    beats: SyncSender<Request>,
    data: SyncSender<Request>,
}

impl BusThreads {
    /// Connects and starts the threads.
    pub(super) fn start(
        options: &AgentOptions,
        plan: &Plan,
        times: &FleetTimes,
        inputs: &SyncSender<AgentInput>,
    ) -> Result<Self, AgentError> {
        let trouble = Arc::<Mutex<BusTrouble>>::default();
        let thread = |name: &str| {
            let client = BusClient::open(&options.bus, &options.run, limits(plan, times))?;
            let (sender, receiver) = mpsc::sync_channel(QUEUE);
            let (inputs, trouble) = (inputs.clone(), Arc::clone(&trouble));
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread
                .spawn(move || carry_out(client, &receiver, &inputs, &trouble))
                .map_err(AgentError::Thread)?;
            Ok::<_, AgentError>(sender)
        };
        Ok(Self { beats: thread("bus-beats")?, data: thread("bus-data")? })
    }

    /// Sends a request.
    pub(super) fn send(&self, id: RequestId, request: Box<BusRequest<ShardDeltas>>) {
        let thread = match &*request {
            BusRequest::Append { .. } | BusRequest::WriteFinal { .. } => &self.data,
            _ => &self.beats,
        };
        // A request that its thread cannot take times out.
        drop(thread.try_send((id, request)));
    }
}

fn carry_out(
    mut client: BusClient<ShardDeltas>,
    requests: &Receiver<Request>,
    inputs: &SyncSender<AgentInput>,
    trouble: &Mutex<BusTrouble>,
) {
    while let Ok((id, request)) = requests.recv() {
        let reply = client.carry_out(&request);
        let mut own = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = own.observe(clock::now(), &mut client, &request, &reply);
        drop(own);
        for message in messages {
            drop(inputs.send(AgentInput::Told(message)));
        }
        if inputs.send(AgentInput::Reply(id, reply)).is_err() {
            return;
        }
    }
}
