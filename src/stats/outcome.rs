//! Every way an attempt and a call can end, as data.
//!
//! `wire` returns the AttemptOutcome of an attempt, `engine` the CallResult of a call.
//! Invariant: no result of a request is an `Err`; each has a phase and a kind.

pub use super::cause::BlockCause;
pub use super::kind::FailureKind;
use crate::protocol::status::ShownStatus;

/// The phase in which an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptPhase {
    /// Building the request: nothing was sent.
    Prepare,
    /// Name look-up.
    Dns,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// Sending: handing the request to the kernel.
    Send,
    /// Waiting for the head of the response.
    FirstByte,
    /// Reading the rest of the response.
    Body,
    /// Following a redirect.
    Redirect,
    /// Sending or waiting for a message of an open stream.
    Message,
    /// Logging in on a new connection of a protocol other than HTTP.
    Login,
}

impl AttemptPhase {
    /// All phases; those of version 9 of a record come first.
    pub const ALL: [Self; 10] = [
        Self::Prepare,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Send,
        Self::FirstByte,
        Self::Body,
        Self::Redirect,
        Self::Message,
        Self::Login,
    ];

    /// Whether the phase is part of opening a connection.
    pub const fn opens(self) -> bool {
        matches!(self, Self::Dns | Self::Connect | Self::Tls | Self::Login)
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::FirstByte => "first_byte",
            Self::Body => "body",
            Self::Redirect => "redirect",
            Self::Message => "message",
            Self::Login => "login",
        }
    }
}

/// An error of the generator: never the target's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneratorError {
    /// No file descriptor is available.
    NoDescriptor,
    /// No local port is available.
    NoPort,
    /// The kernel has no memory or buffer available.
    NoMemory,
    /// A body was to be captured for a check or capture, or a message to be put together from its
    /// parts, and the budget of captured bodies was used up.
    KeptBodies,
    /// A template uses a variable that has not been set.
    UnsetVariable,
    /// A template failed.
    BadTemplate,
    /// An expression or a value exceeded a limit.
    ExpressionLimit,
    /// A loop iterates without a call or a pause.
    EndlessLoop,
    /// A safety limit forbids the request.
    Denied,
    /// This machine forbids the connection: a sandbox, or a firewall.
    NotPermitted,
}

impl GeneratorError {
    /// All errors.
    pub const ALL: [Self; 10] = [
        Self::NoDescriptor,
        Self::NoPort,
        Self::NoMemory,
        Self::KeptBodies,
        Self::UnsetVariable,
        Self::BadTemplate,
        Self::ExpressionLimit,
        Self::EndlessLoop,
        Self::Denied,
        Self::NotPermitted,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoDescriptor => "no_descriptor",
            Self::NoPort => "no_port",
            Self::NoMemory => "no_memory",
            Self::KeptBodies => "kept_bodies",
            Self::UnsetVariable => "unset_variable",
            Self::BadTemplate => "bad_template",
            Self::ExpressionLimit => "expression_limit",
            Self::EndlessLoop => "endless_loop",
            Self::Denied => "denied",
            Self::NotPermitted => "not_permitted",
        }
    }

    /// Returns a hint for the reader of a report.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NoDescriptor => {
                "out of file descriptors; raise `ulimit -n`, or lower the number of users"
            }
            Self::NoPort => {
                "out of local ports; widen net.ipv4.ip_local_port_range, or extend `source`"
            }
            Self::NoMemory => "out of memory; lower the number of users, or add memory",
            Self::KeptBodies => {
                "no memory left for bodies and messages; lower `max_body` or `max_message`, or \
                 raise `memory: { budget }`"
            }
            Self::UnsetVariable => {
                "a variable is not set: its capture found nothing, or runs after this step"
            }
            Self::BadTemplate => "an expression failed for a value; see the message",
            Self::ExpressionLimit => {
                "an expression exceeded its work limit; make the value smaller"
            }
            Self::EndlessLoop => {
                "a loop without calls never ends; add a call, a `pause` or a `times` limit"
            }
            Self::Denied => "forbidden by `safety: { deny }`",
            Self::NotPermitted => {
                "this machine forbids the connection: a sandbox allows the ports of targets alone; \
                 check `--sandbox`, and firewalls"
            }
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A complete response with this status.
    Responded(u16),
    /// What a step of a stream waits for has occurred: a message was sent or received, or the
    /// stream was closed.
    Done,
    /// No complete response.
    Failed(AttemptPhase, FailureKind),
    /// No complete response within the time allowed.
    Timeout(AttemptPhase),
    /// Cancelled at the hard end of the run.
    Unfinished(AttemptPhase),
    /// Not sent or not completed through an error of the generator.
    Own(GeneratorError),
    /// Never sent, by policy.
    Suppressed(BlockCause),
}

impl AttemptOutcome {
    /// The outcome of a failure of this kind: an error of the generator if it had no room itself.
    pub const fn of_failure(phase: AttemptPhase, kind: FailureKind) -> Self {
        match kind {
            FailureKind::NoRoomForMessage => Self::Own(GeneratorError::KeptBodies),
            kind => Self::Failed(phase, kind),
        }
    }

    /// Whether the target reported that it did not process the request.
    pub const fn is_unprocessed(self) -> bool {
        matches!(self, Self::Failed(_, FailureKind::RefusedStream | FailureKind::GoingAway))
    }
}

impl std::fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Responded(status) => ShownStatus(*status).fmt(f),
            Self::Done => f.write_str("done"),
            Self::Failed(phase, kind) => write!(f, "{} ({})", kind.name(), phase.name()),
            Self::Timeout(phase) => write!(f, "timeout ({})", phase.name()),
            Self::Unfinished(phase) => write!(f, "cancelled ({})", phase.name()),
            Self::Own(fault) => f.write_str(fault.name()),
            Self::Suppressed(cause) => write!(f, "never sent ({})", cause.name()),
        }
    }
}

/// How a call ended, by its last attempt and the expectations on its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// A complete response with an expected result.
    Ok,
    /// No complete response, an unexpected status, or a failed `expect`.
    Failed,
    /// No response within the time allowed.
    Timeout,
    /// Cancelled at the hard end of the run.
    Unfinished,
    /// An error of the generator.
    Own,
    /// Never sent, by policy.
    Suppressed,
    /// Skipped because its step is muted.
    Muted,
}

impl CallResult {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Unfinished => "unfinished",
            Self::Own => "generator_error",
            Self::Suppressed => "suppressed",
            Self::Muted => "muted",
        }
    }
}

/// The number of different errors of an attempt, for tables indexed by error.
pub const ERRORS: usize = AttemptPhase::ALL.len() * (FailureKind::ALL.len() + 2)
    + GeneratorError::ALL.len()
    + BlockCause::ALL.len();

/// Errors by [`error_index`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCounts(pub Box<[u64; ERRORS]>);

impl Default for ErrorCounts {
    fn default() -> Self {
        Self(Box::new([0; ERRORS]))
    }
}

impl std::ops::Index<usize> for ErrorCounts {
    type Output = u64;
    fn index(&self, index: usize) -> &u64 {
        &self.0[index]
    }
}

impl std::ops::IndexMut<usize> for ErrorCounts {
    fn index_mut(&mut self, index: usize) -> &mut u64 {
        &mut self.0[index]
    }
}

/// The index of an error in a table of [`ERRORS`].
pub fn error_index(outcome: AttemptOutcome) -> Option<usize> {
    let row = FailureKind::ALL.len() + 2;
    Some(match outcome {
        AttemptOutcome::Responded(_) | AttemptOutcome::Done => return None,
        AttemptOutcome::Failed(phase, kind) => phase as usize * row + kind as usize,
        AttemptOutcome::Timeout(phase) => phase as usize * row + FailureKind::ALL.len(),
        AttemptOutcome::Unfinished(phase) => phase as usize * row + FailureKind::ALL.len() + 1,
        AttemptOutcome::Own(fault) => AttemptPhase::ALL.len() * row + fault as usize,
        AttemptOutcome::Suppressed(cause) => {
            AttemptPhase::ALL.len() * row + GeneratorError::ALL.len() + cause as usize
        }
    })
}

/// The error with an index in a table of [`ERRORS`]; `None` if there is none.
pub fn outcome_at(index: usize) -> Option<AttemptOutcome> {
    let row = FailureKind::ALL.len() + 2;
    let Some(beyond) = index.checked_sub(AttemptPhase::ALL.len() * row) else {
        let phase = AttemptPhase::ALL[index / row];
        return Some(match FailureKind::ALL.get(index % row) {
            Some(kind) => AttemptOutcome::Failed(phase, *kind),
            None if index % row == FailureKind::ALL.len() => AttemptOutcome::Timeout(phase),
            None => AttemptOutcome::Unfinished(phase),
        });
    };
    match beyond.checked_sub(GeneratorError::ALL.len()) {
        None => Some(AttemptOutcome::Own(GeneratorError::ALL[beyond])),
        Some(beyond) => BlockCause::ALL.get(beyond).map(|cause| AttemptOutcome::Suppressed(*cause)),
    }
}

/// Returns the unit of an error's count: `calls` if none was sent, `attempts` if each failed
/// attempt of a call counts, retries included.
pub fn counted_as(index: usize) -> &'static str {
    if index < AttemptPhase::ALL.len() * (FailureKind::ALL.len() + 2) {
        "attempts"
    } else {
        "calls"
    }
}

/// Phase, kind and hint of an error by its index.
pub fn error_at(index: usize) -> (&'static str, &'static str, &'static str) {
    let row = FailureKind::ALL.len() + 2;
    let beyond = index.wrapping_sub(AttemptPhase::ALL.len() * row);
    if let Some(fault) = GeneratorError::ALL.get(beyond) {
        return ("generator", fault.name(), fault.hint());
    }
    if let Some(cause) = BlockCause::ALL.get(beyond.wrapping_sub(GeneratorError::ALL.len())) {
        return ("suppressed", cause.name(), cause.hint());
    }
    let phase = AttemptPhase::ALL[(index / row).min(AttemptPhase::ALL.len() - 1)].name();
    match FailureKind::ALL.get(index % row) {
        Some(kind) => (phase, kind.name(), kind.hint()),
        None if index % row == FailureKind::ALL.len() => {
            let hint = match phase {
                "dns" => "no name server replied in time; check /etc/resolv.conf",
                "connect" => "no connection in time; check that the target is up, and firewalls",
                _ => "no response in time; the target is slow or lost the request",
            };
            (phase, "timeout", hint)
        }
        None => (phase, "unfinished", "cancelled at the end of the run; raise `grace`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_unsent_calls_count_calls() {
        for (outcome, of) in [
            (AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Refused), "attempts"),
            (AttemptOutcome::Timeout(AttemptPhase::Connect), "attempts"),
            (AttemptOutcome::Own(GeneratorError::UnsetVariable), "calls"),
            (AttemptOutcome::Suppressed(BlockCause::ALL[0]), "calls"),
        ] {
            assert_eq!(counted_as(error_index(outcome).unwrap()), of, "{outcome:?}");
        }
    }

    #[test]
    fn every_error_has_its_own_index_and_name() {
        let mut outcomes: Vec<AttemptOutcome> = GeneratorError::ALL.map(AttemptOutcome::Own).into();
        outcomes.extend(BlockCause::ALL.map(AttemptOutcome::Suppressed));
        for phase in AttemptPhase::ALL {
            outcomes.push(AttemptOutcome::Timeout(phase));
            outcomes.push(AttemptOutcome::Unfinished(phase));
            outcomes.extend(FailureKind::ALL.map(|kind| AttemptOutcome::Failed(phase, kind)));
        }
        for outcome in &outcomes {
            assert_eq!(error_index(*outcome).and_then(outcome_at), Some(*outcome));
        }
        assert_eq!(outcome_at(ERRORS), None);
        let mut places: Vec<usize> = outcomes.into_iter().filter_map(error_index).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..ERRORS));
        let names: std::collections::HashSet<_> = (0..ERRORS).map(error_at).collect();
        assert_eq!(names.len(), ERRORS);
        assert_eq!(error_index(AttemptOutcome::Responded(200)), None);
    }
}
