//! The users present in each channel, over all threads of a server.
//!
//! The application sockets of `websocket` join and leave.
//! Invariant: a user is present while one of its connections is; members of the list and the
//! announcements agree, since both are made under one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Connections by user, for each channel with a connection.
#[derive(Debug, Default)]
pub(in crate::testserver) struct PresenceBoard(Mutex<PresentUsers>);

#[derive(Debug, Default)]
struct PresentUsers(HashMap<String, BTreeMap<String, u64>>);

impl PresenceBoard {
    /// Adds a connection of a user. `announce` runs before any other change, and is told whether
    /// it is the first connection of that user; returns all users, sorted.
    pub fn join(&self, channel: &str, user: &str, announce: impl FnOnce(bool)) -> Vec<String> {
        let mut present = self.lock();
        let users = present.0.entry(channel.to_owned()).or_default();
        let connections = users.entry(user.to_owned()).or_insert(0);
        *connections += 1;
        announce(*connections == 1);
        users.keys().cloned().collect()
    }

    /// Removes a connection of a user. `announce` is told whether it was the last one.
    pub fn leave(&self, channel: &str, user: &str, announce: impl FnOnce(bool)) {
        let mut present = self.lock();
        let Some(users) = present.0.get_mut(channel) else { return };
        let Some(connections) = users.get_mut(user) else { return };
        *connections -= 1;
        let is_last = *connections == 0;
        if is_last {
            users.remove(user);
        }
        if users.is_empty() {
            present.0.remove(channel);
        }
        announce(is_last);
    }

    /// Returns all users of a channel, sorted.
    pub fn users(&self, channel: &str) -> Vec<String> {
        let present = self.lock();
        present.0.get(channel).map(|users| users.keys().cloned().collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, PresentUsers> {
        // Nothing panics while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_present_from_first_connection_to_last() {
        let board = PresenceBoard::default();
        let join = |user| {
            let mut is_first = None;
            let users = board.join("c", user, |first| is_first = Some(first));
            (is_first, users.join(" "))
        };
        let leave = |user| {
            let mut is_last = None;
            board.leave("c", user, |last| is_last = Some(last));
            is_last
        };
        assert_eq!(join("ben"), (Some(true), "ben".to_owned()));
        assert_eq!(join("ana"), (Some(true), "ana ben".to_owned()));
        assert_eq!(join("ben"), (Some(false), "ana ben".to_owned()));
        assert_eq!((leave("ben"), leave("ana"), leave("eve")), (Some(false), Some(true), None));
        assert_eq!(board.users("c"), ["ben"]);
        assert_eq!(leave("ben"), Some(true));
        assert!(board.lock().0.is_empty());
    }
}
