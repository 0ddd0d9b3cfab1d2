//! Claims and the history in files of this machine: a lock and a state for each job.
//!
//! `store` opens it for a schedule without `lock`.
//! Invariant: the kernel holds the lock of a claim and ends it with its process; a state is
//! replaced as a whole, so a reader sees the former or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::entry::{HistoryEntry, MAX_ENTRIES, MAX_ENTRY};
use super::outcome::JobOutcome;
use super::store::{Acquired, AfterEntry, Claim, SlotClaim, SlotStore, StoreFailure};
use crate::timetable::TimeSlot;

/// The longest file of a state, bytes.
const MAX_STATE: u64 = (MAX_ENTRIES as u64 + 10) * MAX_ENTRY as u64;

/// A store of this machine.
#[derive(Debug)]
pub(super) struct LocalStore {
    folder: PathBuf,
    /// The lock of the claim.
    held: Option<File>,
}

/// The state of a job.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LocalState {
    token: u64,
    slot: Option<u64>,
    outcome: Option<JobOutcome>,
    running: Option<HistoryEntry>,
    /// Newest first.
    history: Vec<HistoryEntry>,
}

impl LocalStore {
    /// Opens the folder of a schedule's state.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreFailure> {
        fs::create_dir_all(folder).map_err(|error| failure(folder, &error))?;
        Ok(Self { folder: folder.to_owned(), held: None })
    }

    fn path(&self, job: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{job}.{ending}"))
    }

    fn read(&self, job: &str) -> Result<LocalState, StoreFailure> {
        let path = self.path(job, "json");
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(LocalState::default());
            }
            Ok(about) if about.len() > MAX_STATE => {
                return Err(failure(&path, &"it is too long for a state; move it away"));
            }
            Err(error) => return Err(failure(&path, &error)),
            Ok(_) => {}
        }
        let text = fs::read(&path).map_err(|error| failure(&path, &error))?;
        serde_json::from_slice(&text)
            .map_err(|error| failure(&path, &format!("{error}; move it away")))
    }

    fn write(&self, job: &str, state: &LocalState) -> Result<(), StoreFailure> {
        let (path, new) = (self.path(job, "json"), self.path(job, "json.new"));
        let text = serde_json::to_vec(state).map_err(|error| failure(&path, &error))?;
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_data()
        });
        written.and_then(|()| fs::rename(&new, &path)).map_err(|error| failure(&path, &error))
    }

    /// Changes the state of a claim; returns whether it is still held.
    fn change(
        &mut self,
        job: &str,
        token: u64,
        change: impl FnOnce(&mut LocalState),
    ) -> Result<bool, StoreFailure> {
        if self.held.is_none() {
            return Ok(false);
        }
        let mut state = self.read(job)?;
        if state.token != token {
            return Ok(false);
        }
        change(&mut state);
        state.history.truncate(MAX_ENTRIES);
        self.write(job, &state).map(|()| true)
    }
}

impl SlotStore for LocalStore {
    fn last_slot(&mut self, job: &str) -> Result<Option<TimeSlot>, StoreFailure> {
        Ok(self.read(job)?.slot.map(TimeSlot))
    }

    fn acquire(&mut self, claim: &SlotClaim<'_>) -> Result<Acquired, StoreFailure> {
        let path = self.path(claim.job, "lock");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| failure(&path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let running = self.read(claim.job)?.running;
                let by = running.map_or_else(|| "another process".to_owned(), |one| one.machine);
                return Ok(Acquired::Busy { by });
            }
            Err(error) => return Err(failure(&path, &error)),
        }
        let mut state = self.read(claim.job)?;
        if claim.slot.is_some_and(|slot| state.slot.is_some_and(|last| last >= slot.0)) {
            return Ok(Acquired::Taken);
        }
        let lost = state.running.take().map(|mut entry| {
            entry.outcome = Some(JobOutcome::Lost);
            state.history.insert(0, entry.clone());
            state.history.truncate(MAX_ENTRIES);
            Box::new(entry)
        });
        let former = state.outcome;
        if lost.is_some() {
            state.outcome = Some(JobOutcome::Lost);
        }
        state.token += 1;
        state.slot = claim.slot.map(|slot| slot.0).or(state.slot);
        state.running = Some(HistoryEntry { token: state.token, ..claim.entry.clone() });
        self.write(claim.job, &state)?;
        self.held = Some(file);
        Ok(Acquired::Held(Claim { token: state.token, former, lost }))
    }

    fn renew(&mut self, _: &str, _: u64) -> Result<bool, StoreFailure> {
        Ok(self.held.is_some())
    }

    fn record(
        &mut self,
        job: &str,
        token: u64,
        entry: &HistoryEntry,
        then: AfterEntry<'_>,
    ) -> Result<bool, StoreFailure> {
        let is_held = self.change(job, token, |state| {
            state.history.insert(0, HistoryEntry { token, ..entry.clone() });
            state.outcome = entry.outcome.filter(|one| one.is_verdict()).or(state.outcome);
            state.running = match then {
                AfterEntry::Next(next) => Some(HistoryEntry { token, ..next.clone() }),
                AfterEntry::Release => None,
            };
        });
        if matches!(then, AfterEntry::Release) {
            self.held = None;
        }
        is_held
    }

    fn skip(
        &mut self,
        job: &str,
        token: u64,
        until: Option<TimeSlot>,
        entry: &HistoryEntry,
    ) -> Result<bool, StoreFailure> {
        self.change(job, token, |state| {
            state.history.insert(0, HistoryEntry { token, ..entry.clone() });
            state.slot = state.slot.max(until.map(|slot| slot.0));
        })
    }

    fn entries(&mut self, job: &str, most: usize) -> Result<Vec<HistoryEntry>, StoreFailure> {
        let state = self.read(job)?;
        Ok(state.running.into_iter().chain(state.history).take(most).collect())
    }
}

fn failure(path: &Path, why: &dyn std::fmt::Display) -> StoreFailure {
    StoreFailure(format!("the state of the schedule, {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(store: &mut LocalStore, slot: Option<u64>) -> Acquired {
        let slot = slot.map(TimeSlot);
        let entry = HistoryEntry::new("a", slot, "host:1", 0);
        store.acquire(&SlotClaim { job: "a", slot, due_ms: 0, entry: &entry }).unwrap()
    }

    fn token(acquired: &Acquired) -> u64 {
        match acquired {
            Acquired::Held(claim) => claim.token,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn slot_is_claimed_once_and_a_lost_claim_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let open = || LocalStore::open(folder.path()).unwrap();
        let (mut one, mut other) = (open(), open());
        let first = token(&claim(&mut one, Some(60)));
        assert_eq!(claim(&mut other, Some(60)), Acquired::Busy { by: "host:1".to_owned() });
        let ended = HistoryEntry::new("a", Some(TimeSlot(60)), "host:1", 0);
        let ended = ended.ended(JobOutcome::Passed, 5);
        assert!(one.record("a", first, &ended, AfterEntry::Release).unwrap());
        assert!(!one.record("a", first, &ended, AfterEntry::Release).unwrap(), "it was released");
        assert_eq!(claim(&mut other, Some(60)), Acquired::Taken);
        assert_eq!(claim(&mut other, Some(0)), Acquired::Taken, "the clock went back");

        let second = token(&claim(&mut other, Some(120)));
        assert!(second > first);
        let skipped = HistoryEntry::new("a", Some(TimeSlot(180)), "host:1", 0);
        let skipped = skipped.ended(JobOutcome::Skipped, 5);
        assert!(other.skip("a", second, Some(TimeSlot(180)), &skipped).unwrap());
        // Its process dies: the kernel ends the lock, and the next claim finds its run.
        drop(other);
        assert_eq!(claim(&mut one, Some(120)), Acquired::Taken);
        assert_eq!(claim(&mut one, Some(180)), Acquired::Taken);
        let Acquired::Held(third) = claim(&mut one, Some(240)) else { panic!("not held") };
        assert_eq!(third.former, Some(JobOutcome::Passed));
        assert_eq!(third.lost.map(|entry| entry.slot), Some(Some(120)));
        let outcomes: Vec<_> =
            one.entries("a", 9).unwrap().into_iter().map(|entry| entry.outcome).collect();
        let expected =
            [None, Some(JobOutcome::Lost), Some(JobOutcome::Skipped), Some(JobOutcome::Passed)];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn damaged_state_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = LocalStore::open(folder.path()).unwrap();
        fs::write(folder.path().join("a.json"), "{").unwrap();
        let error = store.last_slot("a").unwrap_err().to_string();
        assert!(error.contains("a.json") && error.contains("move it away"), "{error}");
    }
}
