//! When a user of the closed model begins its next iteration, or leaves.
//!
//! `closed_user` asks before each iteration, and again after each wait.
//! Invariant: a pure function of the state: it reads no clock and waits for nothing.

use crate::clock::Time;

/// What decides on the next iteration of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitState {
    pub(crate) now: Time,
    /// When the user is free for its next iteration, pauses of the workload left out.
    pub(crate) ready: Time,
    /// How long the workload has been paused since the user was idle, ns.
    pub(crate) paused_ns: u64,
    /// When the current pause ends; `None` if the workload is not paused.
    pub(crate) paused_until: Option<Time>,
    /// When the next pause begins.
    pub(crate) next_pause: Time,
    /// When the user leaves.
    pub(crate) leave: Time,
    /// The user has finished an iteration, or has waited for this one. Else it has just arrived,
    /// and begins its first iteration however late it is.
    pub(crate) may_leave: bool,
    pub(crate) is_draining: bool,
    /// The workload may begin nothing now.
    pub(crate) is_deprioritized: bool,
}

/// What a user does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The user begins the next iteration.
    Begin,
    /// The user leaves.
    Leave,
    /// The user waits until this time, or until the state changes.
    WaitUntil(Time),
    /// The same, because its workload may begin nothing.
    WaitForAdmission(Time),
}

/// What a user does next.
///
/// A user whose next iteration is due after its leaving time stays until then, with its connections
/// open: the level of users that the load asks for is there to its end. While its workload is
/// paused, it stays as it is, and all that was to come comes later by as much: what is left of a
/// think is thought after the pause, and the pause counts as no wait.
pub(crate) fn next_step(state: &WaitState) -> NextStep {
    let WaitState { now, leave, .. } = *state;
    let at = match state.paused_until {
        Some(until) => until.min(leave),
        None => state.ready.after(state.paused_ns).min(state.next_pause).min(leave),
    };
    let may_leave = state.may_leave || state.paused_until.is_some();
    if may_leave && (now >= leave || state.is_draining) {
        return NextStep::Leave;
    }
    match at <= now {
        false => NextStep::WaitUntil(at),
        true if state.is_deprioritized => NextStep::WaitForAdmission(leave),
        true => NextStep::Begin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_step_follows_from_the_state() {
        let usual = WaitState {
            now: Time(100),
            ready: Time(100),
            paused_ns: 0,
            paused_until: None,
            next_pause: Time::NEVER,
            leave: Time(500),
            may_leave: true,
            is_draining: false,
            is_deprioritized: false,
        };
        let paused = WaitState { paused_until: Some(Time::NEVER), ..usual };
        let cases = [
            ("free", usual, NextStep::Begin),
            ("thinks", WaitState { ready: Time(150), ..usual }, NextStep::WaitUntil(Time(150))),
            (
                "a pause makes it later by as much",
                WaitState { ready: Time(150), paused_ns: 30, ..usual },
                NextStep::WaitUntil(Time(180)),
            ),
            (
                "looks again when a pause begins",
                WaitState { ready: Time(150), next_pause: Time(120), ..usual },
                NextStep::WaitUntil(Time(120)),
            ),
            ("paused", paused, NextStep::WaitUntil(Time(500))),
            (
                "paused for a while",
                WaitState { paused_until: Some(Time(130)), ..usual },
                NextStep::WaitUntil(Time(130)),
            ),
            ("its time is over", WaitState { now: Time(500), ..usual }, NextStep::Leave),
            ("the run drains", WaitState { is_draining: true, ..usual }, NextStep::Leave),
            (
                "due after its leaving time it stays until then",
                WaitState { ready: Time(900), ..usual },
                NextStep::WaitUntil(Time(500)),
            ),
            (
                "it has just arrived, late",
                WaitState { now: Time(600), may_leave: false, ..usual },
                NextStep::Begin,
            ),
            (
                "it has just arrived in a pause, late",
                WaitState { now: Time(600), may_leave: false, ..paused },
                NextStep::Leave,
            ),
            (
                "not admitted",
                WaitState { is_deprioritized: true, ..usual },
                NextStep::WaitForAdmission(Time(500)),
            ),
        ];
        for (case, state, step) in cases {
            assert_eq!(next_step(&state), step, "{case}");
        }
    }
}
