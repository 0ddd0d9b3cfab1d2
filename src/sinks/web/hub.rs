//! Connects the run and its browsers: the latest report, and when each of its sections changed.
//!
//! The sink publishes reports, the streams of clients take frames.
//! Invariant: one report and one rendering are held for all clients; nothing is rendered without a
//! client.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::event::Report;
use crate::report::page;

/// Maximum browsers; further ones are refused.
pub const CLIENTS: usize = 16;

/// Maximum notes that are shown.
const NOTES: usize = 5;

/// State shared by all clients.
#[derive(Debug)]
pub struct Hub {
    newest: Mutex<Newest>,
    shown: Mutex<ShownSections>,
    /// The number of the latest report.
    number: watch::Sender<u64>,
    clients: AtomicUsize,
    /// Whether pages with the token can control the run.
    has_controls: bool,
}

#[derive(Debug, Default)]
struct Newest {
    number: u64,
    report: Option<Arc<Report>>,
    is_over: bool,
    notes: VecDeque<String>,
}

/// The last rendering of the sections.
#[derive(Debug, Default)]
struct ShownSections {
    number: u64,
    parts: Vec<SectionState>,
}

#[derive(Debug)]
struct SectionState {
    id: &'static str,
    html: String,
    /// The number of the report in which the section changed last.
    since: u64,
}

/// The changes that a client has not received.
#[derive(Debug)]
pub struct Frame {
    /// The number of the report.
    pub number: u64,
    /// The message for the script; `None`: nothing new.
    pub value: Option<Value>,
    /// Whether the frame is the last one.
    pub is_over: bool,
}

/// A registered client; dropping it frees its place.
#[derive(Debug)]
pub struct ClientSlot(Arc<Hub>);

impl Hub {
    /// Creates a hub without a report.
    pub fn new(has_controls: bool) -> Self {
        Self {
            has_controls,
            newest: Mutex::default(),
            shown: Mutex::default(),
            number: watch::Sender::new(0),
            clients: AtomicUsize::new(0),
        }
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Relaxed);
    }
}

impl Hub {
    /// Publishes the current or the last report.
    pub fn show(&self, report: &Arc<Report>, is_over: bool) {
        let mut newest = lock(&self.newest);
        newest.number += 1;
        (newest.report, newest.is_over) = (Some(Arc::clone(report)), is_over);
        self.number.send_replace(newest.number);
    }

    /// Adds a note, which is shown with the next report.
    pub fn note(&self, text: &str) {
        let mut newest = lock(&self.newest);
        if newest.notes.len() == NOTES {
            newest.notes.pop_front();
        }
        newest.notes.push_back(page::short(text));
    }

    /// Wakes all clients, so that closed connections are detected.
    pub fn tick(&self) {
        self.number.send_modify(|_| {});
    }

    /// Registers a client, with a receiver of report numbers; `None` if there are too many.
    pub fn sit(self: &Arc<Self>) -> Option<(ClientSlot, watch::Receiver<u64>)> {
        let room = |clients: usize| (clients < CLIENTS).then_some(clients + 1);
        self.clients.fetch_update(Relaxed, Relaxed, room).ok()?;
        Some((ClientSlot(Arc::clone(self)), self.number.subscribe()))
    }

    /// Returns the changes since the report `seen`.
    pub fn since(&self, seen: u64) -> Frame {
        let newest = lock(&self.newest);
        let (number, is_over) = (newest.number, newest.is_over);
        let (report, notes) = (newest.report.clone(), newest.notes.clone());
        // The run may publish further reports while this one is rendered.
        drop(newest);
        let fresh = report.filter(|_| number > seen);
        let value = fresh.map(|report| {
            let mut shown = lock(&self.shown);
            if shown.number < number {
                shown.render(&report, number);
            }
            let mut value = head(&report, is_over);
            value["notes"] = notes.into_iter().collect();
            value["controls"] = self.has_controls.into();
            value["parts"] = shown.after(seen);
            value
        });
        Frame { number, value, is_over }
    }
}

impl ShownSections {
    fn render(&mut self, report: &Report, number: u64) {
        let before = std::mem::take(&mut self.parts);
        let part = |(at, part): (usize, page::RenderedSection)| {
            let html = part.inner.map_or(String::new(), |inner| inner.0);
            let same = before.get(at).filter(|before| before.html == html);
            SectionState { id: part.id, since: same.map_or(number, |before| before.since), html }
        };
        self.parts = page::sections(report).into_iter().enumerate().map(part).collect();
        self.number = number;
    }

    /// Returns the sections that changed after a report.
    fn after(&self, seen: u64) -> Value {
        let changed = self.parts.iter().filter(|part| part.since > seen);
        let parts: Map<_, _> =
            changed.map(|part| (part.id.to_owned(), part.html.as_str().into())).collect();
        Value::Object(parts)
    }
}

fn head(report: &Report, is_over: bool) -> Value {
    let workloads: Vec<String> =
        report.info.plan.workloads.iter().map(|load| page::short(&load.name)).collect();
    json!({ "title": page::title(report), "over": is_over, "workloads": workloads })
}

/// Locks, ignoring poison: every critical section leaves a complete value.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::tests::made_up;

    #[test]
    fn clients_get_the_newest_and_only_what_changed() {
        let hub = Arc::new(Hub::new(true));
        assert!(hub.since(0).value.is_none(), "there is nothing to show yet");
        let report = Arc::new(made_up(3, "shop"));
        hub.show(&report, false);
        let first = hub.since(0);
        let parts = first.value.unwrap()["parts"].as_object().unwrap().len();
        assert_eq!((first.number, parts, first.is_over), (1, page::sections(&report).len(), false));
        assert!(hub.since(1).value.is_none());
        let mut later = made_up(3, "shop");
        later.stopped = Some("somebody said so".to_owned());
        hub.show(&Arc::new(made_up(9, "missed")), false);
        hub.note("a note");
        hub.show(&Arc::new(later), true);
        let last = hub.since(1);
        let value = last.value.unwrap();
        let changed = value["parts"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((last.number, changed.join(" ")), (3, "verdict".to_owned()));
        assert!(last.is_over && value["over"] == true && value["notes"][0] == "a note");
    }

    #[test]
    fn there_is_room_for_so_many_and_it_comes_back() {
        let hub = Arc::new(Hub::new(true));
        let mut seats: Vec<_> = std::iter::from_fn(|| hub.sit()).collect();
        assert_eq!(seats.len(), CLIENTS);
        seats.pop();
        assert!(hub.sit().is_some());
    }
}
