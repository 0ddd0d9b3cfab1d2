//! Workers of a world: each shard is a process of its own, and may be lost.
//!
//! `run` starts them in place of the shards of one process.
//! Invariant: a lost worker does nothing more, and its loss comes after its deltas.

use std::sync::Arc;

use manada::clock::{self, Time};
use manada::engine::{self, Variables};
use manada::event::{
    COMMAND_QUEUE, DELTA_QUEUE, DeltaSource, LossPolicy, ShardCommand, WorkerEvent, WorkerLoss,
};
use manada::plan::slots::ShardRange;
use manada::plan::{Address, Plan};
use manada::wire::Wire;
use manada::wire::fake::FakeTarget;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::script::ns;

/// The loss of a worker.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The index of its shard.
    shard: usize,
    at: String,
}

/// What becomes of the load of a lost worker.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    #[default]
    Redistribute,
    Continue,
    Abort,
}

impl From<OnLoss> for LossPolicy {
    fn from(on_loss: OnLoss) -> Self {
        match on_loss {
            OnLoss::Redistribute => Self::Redistribute,
            OnLoss::Continue => Self::Continue,
            OnLoss::Abort => Self::Abort,
        }
    }
}

/// Starts a worker for each of the shards.
pub fn start(
    plan: &Arc<Plan>,
    (addresses, globals): (&[Address], &Variables),
    target: &FakeTarget,
    start: Time,
    (shards, losses): (usize, &[Loss]),
) -> DeltaSource {
    let (deltas, delta_receiver) = mpsc::channel(DELTA_QUEUE);
    let (loss_sender, losses_receiver) = mpsc::channel(shards);
    let mut commands = Vec::new();
    for worker in 0..shards {
        let range =
            ShardRange { process: worker as u64, processes: shards as u64, total: shards as u64 };
        let (mut setups, mut source) =
            engine::set_up(plan, addresses.to_vec(), range, start, globals);
        let (setup, wire) = (setups.remove(0), Wire::fake(target.clone()));
        tokio::task::spawn_local(async move { engine::shard_loop::run(setup, wire).await });
        let lost = losses.iter().find(|loss| loss.shard == worker);
        let lost = lost.map_or(Time::NEVER, |loss| start.after(ns(&loss.at)));
        let (deltas, losses) = (deltas.clone(), loss_sender.clone());
        let (sender, mut receiver) = mpsc::channel(COMMAND_QUEUE);
        commands.push(sender);
        tokio::task::spawn_local(async move {
            loop {
                tokio::select! {
                    biased;
                    () = clock::sleep_until(lost) => break,
                    delta = source.deltas.recv() => match delta {
                        Some(delta) => deltas.send(delta).await.unwrap(),
                        None => return,
                    },
                    Some(command) = receiver.recv() => {
                        let _ = source.commands[0].try_send(command);
                    }
                }
            }
            // It ends at once, and what it has not sent is gone.
            source.commands[0].try_send(ShardCommand::Cancel).unwrap();
            let loss = WorkerLoss { worker, range, why: "killed".to_owned(), is_agent: false };
            losses.send(WorkerEvent::Lost(loss)).await.unwrap();
            while source.deltas.recv().await.is_some() {}
        });
    }
    DeltaSource::new(delta_receiver, Some(losses_receiver), commands, shards)
}
