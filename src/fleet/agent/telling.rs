//! How an agent that does not run the plan tells the coordinator why.
//!
//! `agent` calls it once it has read the setup of the run, before it ends.
//! Invariant: it takes a bounded time, whatever the bus does; no secret is in what it tells.

use std::collections::VecDeque;
use std::time::Duration;

use super::error::AgentError;
use super::inputs::{AgentOptions, local_now};
use super::lobby::LIMITS;
use super::machine::machine_facts;
use super::pause::pause;
use crate::clock;
use crate::fleet::bus::BusClient;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{
    Agent, AgentAction, AgentConfig, AgentEvent, FleetTimes, MAX_REASON, MemberFacts, Ordinal,
};
use crate::redact::{Redactor, SensitiveNames, redact_secrets};

/// How long the coordinator may take to read it.
const PATIENCE: Duration = Duration::from_secs(4);

/// From one look at the control record to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tells why this agent does not run the plan. If the bus does not take it, the agent ends without.
pub(super) fn tell(options: &AgentOptions, why: &AgentError) {
    let Ok(mut client) = BusClient::<ShardDeltas>::open(&options.bus, &options.run, LIMITS) else {
        return;
    };
    let names = SensitiveNames::default();
    let text = Redactor::new(&names).sentence(&redact_secrets(&why.to_string())).into_owned();
    let mut end = text.len().min(MAX_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let facts = machine_facts();
    let config = AgentConfig {
        ordinal: Ordinal(options.ordinal),
        entropy: rand::random(),
        plan: 0,
        times: FleetTimes::default(),
        facts: MemberFacts { reason: text.as_bytes()[..end].to_vec(), ..facts },
    };
    let mut agent = Agent::<ShardDeltas>::new(config, local_now());
    let until = clock::now() + PATIENCE;
    let mut events = VecDeque::from([AgentEvent::Tick]);
    while clock::now() < until {
        let event = events.pop_front().unwrap_or_else(|| {
            pause(LOOK_EVERY);
            AgentEvent::Tick
        });
        for action in agent.step(local_now(), event) {
            match action {
                AgentAction::Send { id, request } => {
                    let reply = client.carry_out(&request);
                    events.push_back(AgentEvent::Reply { id, reply });
                }
                AgentAction::End(_) => return,
                _ => {}
            }
        }
    }
}
