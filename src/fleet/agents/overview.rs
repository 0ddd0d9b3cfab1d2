//! The agents of a run as screens and reports show them.
//!
//! `driver` updates it after each poll.
//! Invariant: figures are those of the agents' heartbeats; worst ones are over the whole load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::clock::Time;
use crate::event::{AgentAccount, AgentUse, WorkerUse};
use crate::fleet::layout::FleetLayout;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{FinalCheck, Heartbeat, Ledger, Member, SlotTable};
use crate::host::usage::CpuTime;
use crate::stats::FirstStart;

/// What is known of each agent.
#[derive(Debug, Default)]
pub(super) struct AgentsOverview {
    agents: BTreeMap<Member, AgentFigures>,
    /// Agents of which a former coordinator lost a part: that their sums differ is known.
    excused: BTreeSet<Member>,
    /// Agents that sent deltas which are not of the plan, or of shards of others.
    distrusted: BTreeSet<Member>,
}

/// The figures of one agent.
#[derive(Clone, Debug)]
struct AgentFigures {
    heartbeat: Heartbeat,
    heard: Time,
    silent_ns: u64,
    slots: u64,
    clock_error: u64,
    first_start: Option<FirstStart>,
    lag_us: u64,
    cpu_permille: u64,
    rss: u64,
    /// Its CPU time, as its last heartbeat told.
    cpu: CpuTime,
    loss: Option<String>,
}

impl AgentsOverview {
    /// Takes the newest heartbeats at `now`, and the latest table.
    pub(super) fn observe<'a>(
        &mut self,
        layout: &FleetLayout,
        members: impl Iterator<Item = (&'a Heartbeat, bool)>,
        table: Option<&SlotTable>,
        now: Time,
    ) {
        let slots = table.map(SlotTable::counts).unwrap_or_default();
        for (heartbeat, _) in members {
            let member = heartbeat.member;
            if layout.range(member).is_none() {
                continue;
            }
            let figures = self.agents.entry(member).or_insert_with(|| AgentFigures {
                heartbeat: heartbeat.clone(),
                heard: now,
                silent_ns: 0,
                slots: 0,
                clock_error: 0,
                first_start: None,
                lag_us: 0,
                cpu_permille: 0,
                rss: 0,
                cpu: CpuTime::default(),
                loss: None,
            });
            if figures.heartbeat.beat != heartbeat.beat {
                figures.heartbeat = heartbeat.clone();
                figures.heard = now;
            }
            figures.silent_ns = now.since(figures.heard);
            figures.slots = slots.get(&member).copied().unwrap_or(0) as u64;
            if heartbeat.clock_error != u64::MAX {
                figures.clock_error = figures.clock_error.max(heartbeat.clock_error);
            }
            let health = &heartbeat.health;
            figures.first_start = health.first_start.or(figures.first_start);
            figures.lag_us = figures.lag_us.max(health.lag_us);
            figures.cpu_permille = figures.cpu_permille.max(health.cpu_permille);
            figures.rss = figures.rss.max(health.rss);
            if health.cpu.total_ns() > figures.cpu.total_ns() {
                figures.cpu = health.cpu;
            }
        }
    }

    /// A former coordinator lost a part of what an agent measured.
    pub(super) fn excuse(&mut self, member: Member) {
        self.excused.insert(member);
    }

    /// Deltas of an agent are not of the plan, or of shards of others: they are not counted.
    pub(super) fn distrust(&mut self, member: Member) {
        self.distrusted.insert(member);
    }

    /// Nothing more comes from an agent.
    pub(super) fn lose(&mut self, member: Member, why: &str) {
        if let Some(figures) = self.agents.get_mut(&member) {
            figures.loss = Some(why.to_owned());
        }
    }

    /// Hands the agents to screens and reports.
    pub(super) fn publish(
        &self,
        layout: &FleetLayout,
        ledger: &Ledger<ShardDeltas>,
        to: &Mutex<Vec<WorkerUse>>,
    ) {
        let uses = layout.members().filter_map(|(member, range)| {
            let figures = self.agents.get(&member)?;
            let account = match ledger.account(member).map(|account| account.check) {
                Some(FinalCheck::Exact) => AgentAccount::Exact,
                Some(FinalCheck::Corrected) => AgentAccount::Differs,
                Some(FinalCheck::Open) | None => AgentAccount::Open,
            };
            let is_wrong = account == AgentAccount::Differs && !self.excused.contains(&member);
            let failed = if self.distrusted.contains(&member) {
                Some(
                    "some of its deltas are not of this plan and are not counted: the totals are \
                     not exact",
                )
            } else {
                is_wrong.then_some(
                    "its deltas do not add up to its final state: the totals are not exact",
                )
            };
            let failed = failed.map(str::to_owned);
            let facts = &figures.heartbeat.facts;
            let is_over = account != AgentAccount::Open;
            let agent = AgentUse {
                host: facts.host.clone(),
                cores: u64::from(facts.cores),
                slots: figures.slots,
                silent_ns: if is_over { 0 } else { figures.silent_ns },
                clock_error_ns: figures.clock_error,
                first_start: figures.first_start,
                lag_us: figures.lag_us,
                cpu_permille: figures.cpu_permille,
                account,
            };
            let (rss_peak, cpu, loss) = (figures.rss, figures.cpu, figures.loss.clone());
            Some(WorkerUse { range, rss_peak, cpu, failed, loss, agent: Some(agent) })
        });
        *to.lock().unwrap_or_else(PoisonError::into_inner) = uses.collect();
    }
}
