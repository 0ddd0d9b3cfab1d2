//! Every way an attempt and a call can end, as data.
//!
//! `wire` says the Outcome of an attempt, `engine` the Fate of a call.
//! Invariant: nothing that happens to a request is an `Err`; each ending has a phase and a kind.

pub use super::cause::BlockCause;
pub use super::kind::FailureKind;

/// The part of an attempt in which it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptPhase {
    /// Making the request: nothing was sent.
    Prepare,
    /// Looking up the name.
    Dns,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// Handing the request to the kernel.
    Send,
    /// Waiting for the head of the answer.
    FirstByte,
    /// Reading the rest of the answer.
    Body,
    /// Going on where an answer pointed to.
    Redirect,
}

impl AttemptPhase {
    /// In the order of an attempt.
    pub const ALL: [Self; 8] = [
        Self::Prepare,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Send,
        Self::FirstByte,
        Self::Body,
        Self::Redirect,
    ];

    /// Whether a connection is being opened in it.
    pub const fn opens(self) -> bool {
        matches!(self, Self::Dns | Self::Connect | Self::Tls)
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
        }
    }
}

/// What went wrong on our own side: never the target's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneratorError {
    /// No file descriptor left.
    NoDescriptor,
    /// No local port left.
    NoPort,
    /// No memory or no buffer left in the kernel.
    NoMemory,
    /// A body was to be kept for a check or capture, and all that kept bodies may take was in use.
    KeptBodies,
    /// A template needs a variable that nothing has set.
    UnsetVariable,
    /// A template failed.
    BadTemplate,
    /// An expression or a value ran into a limit.
    ExpressionLimit,
    /// A loop goes round without ever making a call or a pause.
    EndlessLoop,
    /// A safety limit denies the request.
    Denied,
}

impl GeneratorError {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NoDescriptor,
        Self::NoPort,
        Self::NoMemory,
        Self::KeptBodies,
        Self::UnsetVariable,
        Self::BadTemplate,
        Self::ExpressionLimit,
        Self::EndlessLoop,
        Self::Denied,
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
        }
    }

    /// What a person may do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::NoDescriptor => "raise `ulimit -n` or lower the number of users",
            Self::NoPort => "widen net.ipv4.ip_local_port_range or use more target addresses",
            Self::NoMemory => "lower the number of users or give this machine more memory",
            Self::KeptBodies => "lower `max_body` or the users, or raise `memory: { budget }`",
            Self::UnsetVariable => "the capture that sets it found nothing or came too late",
            Self::BadTemplate => "an expression failed on the value it met",
            Self::ExpressionLimit => "make the value smaller, or set it in fewer steps",
            Self::EndlessLoop => "put a call or a pause into the loop, or bound it",
            Self::Denied => "`deny` under `safety` forbids such requests",
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A complete answer with this status.
    Responded(u16),
    /// No complete answer.
    Failed(AttemptPhase, FailureKind),
    /// None within the time allowed.
    Timeout(AttemptPhase),
    /// Cut at the hard end of the run.
    Unfinished(AttemptPhase),
    /// Not made or not finished through our own fault.
    Own(GeneratorError),
    /// Never sent, by policy.
    Suppressed(BlockCause),
}

impl AttemptOutcome {
    /// Whether the target has said that it did nothing for the request.
    pub const fn is_unprocessed(self) -> bool {
        matches!(self, Self::Failed(_, FailureKind::RefusedStream | FailureKind::GoingAway))
    }
}

impl std::fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Responded(status) => write!(f, "{status}"),
            Self::Failed(phase, kind) => write!(f, "{} ({})", kind.name(), phase.name()),
            Self::Timeout(phase) => write!(f, "timeout ({})", phase.name()),
            Self::Unfinished(phase) => write!(f, "cut ({})", phase.name()),
            Self::Own(fault) => f.write_str(fault.name()),
            Self::Suppressed(cause) => write!(f, "never sent ({})", cause.name()),
        }
    }
}

/// How a call ended, by its last attempt and what was expected of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// A complete answer that is wanted.
    Ok,
    /// No complete answer, an unwanted status, or a failed `expect`.
    Failed,
    /// No answer within the time allowed.
    Timeout,
    /// Cut at the hard end of the run.
    Unfinished,
    /// Our own fault.
    Own,
    /// Never sent, by policy.
    Suppressed,
    /// Left out, since its step is muted.
    Muted,
}

/// The number of different errors an attempt can have, for dense counting.
pub const ERRORS: usize = AttemptPhase::ALL.len() * (FailureKind::ALL.len() + 2)
    + GeneratorError::ALL.len()
    + BlockCause::ALL.len();

/// An error's place in a dense table.
pub fn error_index(outcome: AttemptOutcome) -> Option<usize> {
    let row = FailureKind::ALL.len() + 2;
    Some(match outcome {
        AttemptOutcome::Responded(_) => return None,
        AttemptOutcome::Failed(phase, kind) => phase as usize * row + kind as usize,
        AttemptOutcome::Timeout(phase) => phase as usize * row + FailureKind::ALL.len(),
        AttemptOutcome::Unfinished(phase) => phase as usize * row + FailureKind::ALL.len() + 1,
        AttemptOutcome::Own(fault) => AttemptPhase::ALL.len() * row + fault as usize,
        AttemptOutcome::Suppressed(cause) => {
            AttemptPhase::ALL.len() * row + GeneratorError::ALL.len() + cause as usize
        }
    })
}

/// What an error's count is a number of: `calls` where none was sent, `attempts` where each failed
/// one of a call counts, retries among them.
pub fn counted_as(index: usize) -> &'static str {
    if index < AttemptPhase::ALL.len() * (FailureKind::ALL.len() + 2) {
        "attempts"
    } else {
        "calls"
    }
}

/// Phase, kind and hint of an error's place in the table.
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
                "dns" => "no name server answered in time; check /etc/resolv.conf",
                "connect" => "no address accepted in time: is it down, or behind a firewall?",
                _ => "no answer in time: the target is too slow or has lost the call",
            };
            (phase, "timeout", hint)
        }
        None => (phase, "unfinished", "cut at the end of the run: allow more `grace`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_calls_that_were_not_sent_count_calls() {
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
    fn every_error_has_its_own_place_and_name() {
        let mut outcomes: Vec<AttemptOutcome> = GeneratorError::ALL.map(AttemptOutcome::Own).into();
        outcomes.extend(BlockCause::ALL.map(AttemptOutcome::Suppressed));
        for phase in AttemptPhase::ALL {
            outcomes.push(AttemptOutcome::Timeout(phase));
            outcomes.push(AttemptOutcome::Unfinished(phase));
            outcomes.extend(FailureKind::ALL.map(|kind| AttemptOutcome::Failed(phase, kind)));
        }
        let mut places: Vec<usize> = outcomes.into_iter().filter_map(error_index).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..ERRORS));
        let names: std::collections::HashSet<_> = (0..ERRORS).map(error_at).collect();
        assert_eq!(names.len(), ERRORS);
        assert_eq!(error_index(AttemptOutcome::Responded(200)), None);
    }
}
