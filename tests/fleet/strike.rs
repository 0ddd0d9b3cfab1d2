//! How faults strike a world.

use manada::event::ShardCommand;
use manada::fleet::protocol::{AgentEvent, CoordinatorEvent, LeaderStart};

use super::faults::{Fault, SECOND};
use super::process::Program;
use super::world::{Event, World};

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        self.note(|| format!("{fault:?}"));
        match fault {
            Fault::BusDown { for_ns } => self.bus.down_until = self.now + for_ns,
            Fault::BusWiped { restart } => self.bus.wipe(restart),
            Fault::BusBack { by_ns } => self.bus.go_back(self.now.saturating_sub(by_ns)),
            Fault::BusClockSet { ahead: true } => self.bus.clock_ns += 3_600 * SECOND,
            Fault::BusClockSet { ahead: false } => self.bus.clock_ns -= 3_600 * SECOND,
            Fault::AgentCutOff { ordinal, for_ns } => {
                for at in self.agents(ordinal) {
                    self.processes[at].cut_until = self.now + for_ns;
                }
            }
            Fault::AgentKilled { ordinal, again_after } => {
                for at in self.agents(ordinal) {
                    self.processes[at].is_alive = false;
                    if let Some(after) = again_after {
                        self.push(self.now + after, Event::StartAgent(ordinal));
                    }
                }
            }
            Fault::AgentTwice { ordinal } => {
                if !self.agents(ordinal).is_empty() {
                    self.start_agent(ordinal);
                }
            }
            Fault::AgentPaused { ordinal, for_ns } => {
                for at in self.agents(ordinal) {
                    self.processes[at].paused_until = self.now + for_ns;
                }
            }
            Fault::AgentLeaves { ordinal } => {
                for at in self.agents(ordinal) {
                    self.step_agent(at, AgentEvent::Leave);
                }
            }
            Fault::CoordinatorKilled { again_after } => {
                for at in self.coordinators() {
                    self.processes[at].dies_at_action = Some(self.chance.range(0, 4) as usize);
                }
                if let Some(after) = again_after {
                    let start = Event::StartCoordinator(LeaderStart::Resume);
                    self.push(self.now + after, start);
                }
            }
            Fault::CoordinatorPaused { for_ns } => {
                for at in self.coordinators() {
                    self.processes[at].paused_until = self.now + for_ns;
                }
            }
            Fault::SecondCoordinator => self.start_coordinator(LeaderStart::Resume),
            Fault::Drain => self.command(|| CoordinatorEvent::Drain),
            Fault::Abort => self.command(|| CoordinatorEvent::Abort),
            Fault::Commands { count } => {
                for _ in 0..count {
                    self.command(|| CoordinatorEvent::Command(ShardCommand::Drain));
                }
            }
        }
    }

    fn command(&mut self, event: impl Fn() -> CoordinatorEvent<super::process::Sent>) {
        for at in self.coordinators() {
            let process = &mut self.processes[at];
            let now = process.clock.local(self.now);
            if let Program::Coordinator(coordinator) = &mut process.program {
                let actions = coordinator.step(now, event());
                self.carry_out_of_coordinator(at, actions);
            }
        }
    }

    fn agents(&self, ordinal: u16) -> Vec<usize> {
        let all = self.processes.iter().enumerate();
        all.filter(|(_, one)| one.is_alive && one.ordinal == ordinal).map(|(at, _)| at).collect()
    }

    fn coordinators(&self) -> Vec<usize> {
        self.agents(u16::MAX)
    }
}
