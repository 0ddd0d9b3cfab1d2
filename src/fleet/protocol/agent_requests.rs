//! The requests of an agent: heartbeats, and what it measured.
//!
//! `agent` calls it when one is due.
//! Invariant: requests have rising numbers.

use super::agent::Agent;
use super::agent_events::{AgentAction, AgentRequest, AgentRequestKind};
use super::bus::{BusRequest, RequestId};
use super::control::{Heartbeat, MemberState};
use super::outbox::{DeltaPayload, DeltaStream};
use crate::clock::Time;

impl<P: DeltaPayload> Agent<P> {
    pub(super) fn send(
        &mut self,
        now: Time,
        request: BusRequest<P>,
        what: AgentRequestKind,
        actions: &mut Vec<AgentAction<P>>,
    ) -> AgentRequest {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        actions.push(AgentAction::Send { id, request: Box::new(request) });
        AgentRequest { id, issued: now, what }
    }

    pub(super) fn next_beat(&mut self, now: Time) -> (BusRequest<P>, AgentRequestKind) {
        let heartbeat = self.heartbeat(now);
        let horizon = heartbeat.horizon;
        if self.has_joined {
            self.next_beat += 1;
            return (BusRequest::Beat { heartbeat }, AgentRequestKind::Beat { horizon });
        }
        match self.join {
            None => {
                let ordinal = self.config.ordinal;
                (BusRequest::Look { ordinal }, AgentRequestKind::Look)
            }
            Some((after, previous_horizon)) => {
                self.next_beat += 1;
                let heartbeat = Heartbeat { previous_horizon, ..heartbeat };
                let what = AgentRequestKind::Join { previous_horizon, horizon };
                (BusRequest::Join { after, heartbeat }, what)
            }
        }
    }

    fn heartbeat(&self, now: Time) -> Heartbeat {
        let (generation, appended) = self.outbox.position();
        Heartbeat {
            previous_horizon: self.previous_horizon,
            plan: self.config.plan,
            generation,
            appended,
            kept_from: self.outbox.kept_from(),
            measured: self.outbox.measured(),
            command: self.command,
            facts: self.config.facts.clone(),
            health: self.health,
            ..self.view.heartbeat(now, self.next_beat, self.state)
        }
    }

    /// Whether there is something to send besides heartbeats.
    pub(super) fn has_data(&self) -> bool {
        self.has_joined && (!self.outbox.is_sent() || self.state == MemberState::Finished)
    }

    pub(super) fn next_data(&mut self) -> Option<(BusRequest<P>, AgentRequestKind)> {
        let member = self.view.member;
        if self.outbox.is_sent() {
            let state = self.outbox.final_state();
            return Some((BusRequest::WriteFinal { member, state }, AgentRequestKind::WriteFinal));
        }
        let frame = self.outbox.issue()?;
        let (generation, _) = self.outbox.position();
        let what = AgentRequestKind::Append { generation, last: frame.last };
        let stream = DeltaStream { member, generation };
        Some((BusRequest::Append { stream, frame }, what))
    }
}
