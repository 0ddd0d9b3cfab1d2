//! How processes of a world are driven: events in, actions out, and the toy engine of an agent.

use manada::clock::Time;
use manada::fleet::protocol::{
    AgentAction, AgentEnd, AgentEvent, CoordinatorAction, CoordinatorEnd, CoordinatorEvent,
};

use super::check::Dispatch;
use super::faults::{Broken, MS};
use super::process::{Program, SLOTS, Sent, intended};
use super::world::{Event, World};

impl World {
    pub(super) fn at_process(&mut self, at: usize, event: Event) {
        let process = &mut self.processes[at];
        if !process.is_alive {
            return;
        }
        if process.paused_until > self.now {
            // After the pause in any order.
            let later = process.paused_until + self.chance.range(0, MS);
            if matches!(event, Event::Wake(_)) {
                self.processes[at].wake = later;
            }
            return self.push(later, event);
        }
        if matches!(event, Event::Wake(_)) && process.wake != self.now {
            return;
        }
        if matches!(event, Event::Engine(_)) {
            return self.engine(at);
        }
        let now = process.clock.local(self.now);
        match &mut process.program {
            Program::Agent(agent, _) => {
                let event = match event {
                    Event::FromBus(_, id, reply) => AgentEvent::Reply { id, reply: *reply },
                    Event::Prepared(_) => AgentEvent::Prepared,
                    Event::Hint(_) => AgentEvent::Hint,
                    _ => AgentEvent::Tick,
                };
                let actions = agent.step(now, event);
                self.carry_out(at, actions);
            }
            Program::Coordinator(coordinator) => {
                let event = match event {
                    Event::FromBus(_, id, reply) => CoordinatorEvent::Reply { id, reply: *reply },
                    _ => CoordinatorEvent::Tick,
                };
                let actions = coordinator.step(now, event);
                self.carry_out_of_coordinator(at, actions);
            }
        }
    }

    /// Calls a process again when it wants to be.
    fn schedule_wake(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let wake = match &process.program {
            Program::Agent(agent, _) => agent.wake(),
            Program::Coordinator(coordinator) => coordinator.wake(),
        };
        if process.is_alive && wake != Time::NEVER {
            let wake = process.clock.world(wake).max(self.now + MS);
            if process.wake != wake {
                process.wake = wake;
                self.push(wake, Event::Wake(at));
            }
        }
    }

    pub(super) fn step_agent(&mut self, at: usize, event: AgentEvent<Sent>) {
        let process = &mut self.processes[at];
        let now = process.clock.local(self.now);
        if let Program::Agent(agent, _) = &mut process.program {
            let actions = agent.step(now, event);
            self.carry_out(at, actions);
        }
    }

    pub(super) fn carry_out(&mut self, at: usize, actions: Vec<AgentAction<Sent>>) {
        for action in actions {
            match action {
                AgentAction::Send { id, request } => self.send(at, id, *request),
                AgentAction::Prepare => {
                    let later = self.now + self.chance.range(10, 900) * MS;
                    self.push(later, Event::Prepared(at));
                }
                AgentAction::Start { at: start } => {
                    let process = &mut self.processes[at];
                    let start = process.clock.world(start).max(self.now);
                    if let Program::Agent(_, engine) = &mut process.program {
                        engine.is_running = true;
                    }
                    self.push(start, Event::Engine(at));
                }
                AgentAction::Command(command) => self.command_engine(at, command.number),
                AgentAction::Stop { .. } => {
                    if let Program::Agent(_, engine) = &mut self.processes[at].program {
                        engine.is_stopped = true;
                    }
                    self.push(self.now, Event::Engine(at));
                }
                AgentAction::End(end) => {
                    self.note(|| format!("agent {at} ends: {end:?}"));
                    self.processes[at].is_alive = false;
                    match end {
                        AgentEnd::Closed => {
                            self.met.agents_closed += 1;
                            if let Program::Agent(agent, _) = &self.processes[at].program {
                                self.closed.push(agent.member());
                            }
                        }
                        AgentEnd::Superseded => self.met.agents_superseded += 1,
                        AgentEnd::Abandoned => self.met.agents_abandoned += 1,
                        AgentEnd::Refused(_) | AgentEnd::NotStarted => {}
                    }
                }
            }
        }
        self.schedule_wake(at);
    }

    pub(super) fn carry_out_of_coordinator(
        &mut self,
        at: usize,
        actions: Vec<CoordinatorAction<Sent>>,
    ) {
        for action in actions {
            match &mut self.processes[at].dies_at_action {
                Some(0) => {
                    self.note(|| format!("coordinator {at} dies"));
                    self.processes[at].is_alive = false;
                    return;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            match action {
                CoordinatorAction::Send { id, request } => self.send(at, id, *request),
                CoordinatorAction::Merge { frame, .. } => {
                    self.met.frames_coalesced += u64::from(frame.last > frame.first);
                }
                CoordinatorAction::End(end) => {
                    self.note(|| format!("coordinator {at} ends: {end:?}"));
                    self.processes[at].is_alive = false;
                    self.end_coordinator(*end);
                }
            }
        }
        self.schedule_wake(at);
    }

    fn end_coordinator(&mut self, end: CoordinatorEnd<Sent>) {
        let coordinators =
            self.processes.iter().filter(|one| matches!(one.program, Program::Coordinator(_)));
        let is_only = coordinators.count() == 1;
        match end {
            CoordinatorEnd::Done(result) => {
                self.met.late_results += u64::from(!is_only);
                self.results.push(result);
            }
            CoordinatorEnd::Fenced => self.met.coordinators_fenced += 1,
            CoordinatorEnd::Occupied | CoordinatorEnd::NoRun => {}
            CoordinatorEnd::BusLost(result) => {
                self.met.buses_lost += 1;
                // Others may have gone on.
                if is_only {
                    self.results.push(result);
                }
            }
        }
    }

    /// One look of an engine at its schedule.
    fn engine(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let now = process.clock.local(self.now);
        let Program::Agent(agent, engine) = &mut process.program else { return };
        if engine.is_finished {
            return;
        }
        let schedule = agent.schedule(now);
        let member = agent.member();
        let is_over = engine.is_stopped || schedule >= agent.schedule_end();
        let mut interval = None;
        let mut last = None;
        if schedule.ns() >= engine.interval_end || is_over {
            engine.interval_end = (schedule.ns() / self.interval + 1) * self.interval;
            interval = Some(std::mem::take(&mut engine.sent));
        }
        let mut dispatched = Vec::new();
        // Now and then it is late.
        let mut most = if self.chance.permille(100) { 3 } else { u32::MAX };
        if is_over {
            most = u32::MAX;
        }
        let can_send = engine.is_running && !engine.is_stopped;
        while can_send && most > 0 && intended(engine.next) <= schedule {
            let (index, slot) = (engine.next, engine.next as usize % SLOTS);
            engine.next += 1;
            let time = intended(index);
            let is_permitted = match self.faults.broken {
                Broken::LeaseIgnored => agent.owns(slot, time),
                _ => agent.permits(now, slot, time),
            };
            if is_permitted && time < self.config.end {
                most -= 1;
                engine.sent.push(index);
                dispatched.push(Dispatch { index, member, at: schedule });
            } else if agent.owns(slot, time) {
                self.met.arrivals_refused += 1;
            }
        }
        engine.is_finished = is_over;
        if is_over {
            last = Some(std::mem::take(&mut engine.sent));
        }
        for dispatch in dispatched {
            self.dispatch(dispatch);
        }
        for (indices, until) in [(interval, schedule), (last, schedule.after(1))] {
            let Some(indices) = indices else { continue };
            let loses = self.faults.broken == Broken::CoalescingLoses;
            let payload = Sent { indices, loses };
            self.step_agent(at, AgentEvent::Measured { until, payload });
        }
        if is_over {
            self.step_agent(at, AgentEvent::Finished);
        } else {
            let later = self.now + self.chance.range(50, 200) * MS;
            self.push(later, Event::Engine(at));
        }
    }

    /// Commands come to a process once and in order, without a gap.
    fn command_engine(&mut self, at: usize, number: u64) {
        let Program::Agent(agent, engine) = &mut self.processes[at].program else { return };
        let last = std::mem::replace(&mut engine.command, number);
        let member = agent.member();
        self.met.commands += 1;
        if last > 0 && number != last + 1 {
            self.find("commands", format!("{member:?} got {number} after {last}"));
        }
    }

    fn dispatch(&mut self, one: Dispatch) {
        if std::mem::replace(&mut self.is_sent[one.index as usize], true) {
            let first = self.sent.iter().find(|sent| sent.index == one.index).copied();
            self.find("once", format!("sent twice: {first:?}, {one:?}"));
        }
        // A lease of 5 s, by a clock that may run a little slower.
        let lease = self.config.times.lease + 2 * MS;
        let beaten = self.bus.beaten.get(&one.member).copied();
        if beaten.is_none_or(|beaten| self.now > beaten + lease) {
            self.find("lease", format!("{one:?} without a heartbeat since {beaten:?}"));
        }
        if one.at >= self.bus.granted {
            self.find("granted", format!("{one:?}; granted until {:?}", self.bus.granted));
        }
        self.sent.push(one);
    }
}
