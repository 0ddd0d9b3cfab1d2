//! The network of a world: it loses, delays, repeats and reorders.

use std::rc::Rc;

use manada::fleet::protocol::{BusReply, BusRequest, RequestId};

use super::faults::MS;
use super::process::Sent;
use super::world::{Event, World};

impl World {
    fn delay(&mut self) -> u64 {
        let slow = self.faults.slow;
        if self.chance.permille(slow) {
            return self.chance.range(100, 3_000) * MS;
        }
        self.chance.range(200, 30_000) * 1_000
    }

    pub(super) fn send(&mut self, from: usize, id: RequestId, request: BusRequest<Sent>) {
        let request = Rc::new(request);
        let (lost, repeated) = (self.faults.lost, self.faults.repeated);
        if self.chance.permille(repeated) {
            // It waited in a connection that was given up.
            let later = self.now + self.chance.range(1, 4_000) * MS;
            self.push(later, Event::ToBus(from, id, Rc::clone(&request)));
        }
        if self.processes[from].cut_until > self.now || self.chance.permille(lost) {
            return;
        }
        let at = self.now + self.delay();
        self.push(at, Event::ToBus(from, id, request));
    }

    pub(super) fn at_bus(&mut self, from: usize, id: RequestId, request: &BusRequest<Sent>) {
        let reply = if self.bus.down_until > self.now {
            if self.chance.permille(500) {
                return;
            }
            BusReply::Failed
        } else {
            self.bus.carry_out(self.now, request)
        };
        if let (BusRequest::WriteControl { record, .. }, BusReply::Written) = (request, &reply) {
            self.note(|| {
                let table = record.tables.last().map(|table| (table.epoch, table.from));
                format!("control {:?} {:?} by {from}, {table:?}", record.revision, record.phase)
            });
            for at in 0..self.processes.len() {
                if self.chance.permille(400) {
                    let later = self.now + self.delay();
                    self.push(later, Event::Hint(at));
                }
            }
        }
        let lost = self.faults.lost;
        if self.processes[from].cut_until <= self.now && !self.chance.permille(lost) {
            let at = self.now + self.delay();
            self.push(at, Event::FromBus(from, id, Box::new(reply)));
        }
    }
}
