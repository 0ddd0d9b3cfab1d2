//! The flow of a virtual user: steps in order, jumps, loops, waits.
//!
//! `scenario` compiles it from an archetype, `engine::iterations::iteration` runs it.
//! Invariant: a flow is a flat list whose steps refer to others by index, so that running it needs
//! no recursion and no lookup by name. Every section ends with [`Step::End`].

use std::time::Duration;

use super::cache::{CachedStep, ForgetStep};
use super::call::Call;
use super::data::Feed;
use super::stream::StreamPlan;
use super::transaction::TransactionPlan;
use super::transport::LinkProfile;
use crate::curve::Distribution;
use crate::template::{Template, TypedTemplate};

/// A kind of virtual user.
#[derive(Clone, Debug)]
pub struct Archetype {
    /// Name of the archetype.
    pub name: String,
    /// Description for reports.
    pub description: Option<String>,
    /// Think time after each call but the last of an iteration, and in the closed model after the
    /// last one too.
    pub think: Option<Distribution>,
    /// Start-to-start time of iterations in the closed model.
    pub pace: Option<Duration>,
    /// Emulated network of the user; `None`: the real network.
    pub link: Option<LinkProfile>,
    /// How long a user of the closed model keeps its identity.
    pub session: Session,
    /// All request steps, indexed by [`Step::Call`].
    pub calls: Vec<Call>,
    /// All steps of all sections.
    pub steps: Vec<Step>,
    /// Where the sections start.
    pub sections: Sections,
    /// The names of the archetype's series, in the order of `Call::series`.
    pub series: Vec<String>,
    /// The tags of each series: its own and its steps'.
    pub tags: Vec<Vec<(String, String)>>,
    /// The names of the archetype's groups, in the order of `Step::OpenGroup`.
    pub groups: Vec<String>,
    /// The names of the archetype's variables by slot: first those that the scenario's `setup` set,
    /// then its own.
    pub variables: Vec<String>,
    /// Initial values of variables, by slot.
    pub vars: Vec<(usize, TypedTemplate)>,
    /// The variable for the status of the last response, if a template reads it.
    pub status: Option<usize>,
    /// The feeds that its variables take rows of.
    pub data: Vec<DataDraw>,
    /// The number of loop counters.
    pub counters: usize,
    /// The number of rendezvous points.
    pub rendezvous: usize,
    /// Its streams.
    pub streams: Vec<StreamPlan>,
}

/// Where an archetype's sections start in its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// Runs once per user, at the start of its first iteration.
    pub on_start: Option<usize>,
    /// Runs for each iteration.
    pub flow: usize,
    /// Runs once per user, after its last iteration.
    pub on_stop: Option<usize>,
}

/// How long a user of the closed model keeps its identity; then a new user replaces it.
#[derive(Clone, Debug, Default)]
pub enum Session {
    /// As long as the load needs the user.
    #[default]
    Endless,
    /// This number of iterations.
    Iterations(u64),
    /// This duration, drawn per user; the session ends after the iteration in progress.
    Duration(Distribution),
}

/// A variable that takes rows of a feed.
#[derive(Clone, Debug)]
pub struct DataDraw {
    /// The variable's slot.
    pub variable: usize,
    /// The rows, and the rule that assigns them.
    pub feed: Feed,
    /// Takes a new row for each iteration, instead of one for each user.
    pub per_iteration: bool,
}

/// One step of a flow.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request: index into `Archetype::calls`.
    Call(usize),
    /// A step of a stream: index into `Archetype::calls`.
    Stream(usize),
    /// Requests at the same time.
    Parallel(Parallel),
    /// A wait of the user itself.
    Pause(Distribution),
    /// Assigns variables, one after the other.
    Set(Vec<(usize, TypedTemplate)>),
    /// Writes a line to the run's log.
    Log(Template),
    /// Users wait for each other.
    Rendezvous(Rendezvous),
    /// Starts the timer of a group: index into `Archetype::groups`.
    OpenGroup(u16),
    /// Ends the group opened last.
    CloseGroup,
    /// Continues at one of several steps, drawn by weight.
    Choose(Choice),
    /// Continues with the next step if the condition holds, else at `to`.
    If {
        /// The condition.
        condition: TypedTemplate,
        /// The step after the condition failed.
        to: usize,
    },
    /// Initializes a loop counter.
    Count {
        /// Which counter.
        counter: usize,
        /// Number of rounds; more than [`MAX_ROUNDS`] is an error.
        times: TypedTemplate,
    },
    /// Continues with the next step while the counter has rounds left, else at `to`.
    Round {
        /// Which counter.
        counter: usize,
        /// The step after the last round.
        to: usize,
    },
    /// Continues at `to` if the call before succeeded, else with the next step.
    Rescue {
        /// The step after the rescue.
        to: usize,
    },
    /// Takes values from a cache and continues after the steps that capture them, or continues
    /// with the next step.
    Cached(Box<CachedStep>),
    /// Keeps what the steps since the last [`Step::Cached`] captured.
    Fill,
    /// Removes values from a cache.
    Forget(Box<ForgetStep>),
    /// Begins a transaction, whose calls follow.
    Transaction(TransactionPlan),
    /// Continues at this step.
    Jump(usize),
    /// Ends the section.
    End,
}

/// Requests at the same time; the step ends when the last one ends.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// The requests.
    pub branches: Vec<Branch>,
    /// Overrides the archetype's think time after this step.
    pub think: Option<Distribution>,
}

/// One request of a parallel step.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Index into `Archetype::calls`.
    pub call: usize,
    /// Indices of earlier branches that have to end first.
    pub needs: Vec<usize>,
}

/// A point where users wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    /// Index of the rendezvous point within its archetype.
    pub index: usize,
    /// The number of waiting users that releases them all.
    pub users: u64,
    /// A user continues alone after this time.
    pub wait: Duration,
}

/// Alternative steps to continue at.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Weight (positive) and step of each alternative.
    pub options: Vec<(f64, usize)>,
}

/// Maximum rounds of a loop, because a template can compute any number.
pub const MAX_ROUNDS: u64 = 1_000_000;

impl Parallel {
    /// Maximum concurrent calls of a user: what browsers allow per host with HTTP/1.1.
    pub const AT_ONCE: usize = 6;
}

impl Archetype {
    /// Builds users that make these calls one after the other; calls of the same series share its
    /// name.
    pub fn from_calls(name: &str, calls: Vec<Call>, series: Vec<String>) -> Self {
        let steps = (0..calls.len()).map(Step::Call).chain([Step::End]).collect();
        Self {
            name: name.to_owned(),
            description: None,
            think: None,
            pace: None,
            link: None,
            session: Session::Endless,
            calls,
            steps,
            sections: Sections::default(),
            tags: vec![Vec::new(); series.len()],
            series,
            groups: Vec::new(),
            variables: Vec::new(),
            vars: Vec::new(),
            status: None,
            data: Vec::new(),
            counters: 0,
            rendezvous: 0,
            streams: Vec::new(),
        }
    }

    /// Removes all waits: think times, paces, pauses and rendezvous.
    #[must_use]
    pub fn without_waits(mut self) -> Self {
        (self.think, self.pace, self.session) = (None, None, Session::Endless);
        for call in &mut self.calls {
            call.think = None;
        }
        for (index, step) in self.steps.iter_mut().enumerate() {
            match step {
                Step::Pause(_) | Step::Rendezvous(_) => *step = Step::Jump(index + 1),
                Step::Parallel(parallel) => parallel.think = None,
                _ => {}
            }
        }
        self
    }
}

impl Step {
    /// Whether the think time of an earlier call is due before this step.
    pub const fn comes_after_think(&self) -> bool {
        matches!(
            self,
            Self::Call(_)
                | Self::Stream(_)
                | Self::Parallel(_)
                | Self::Rendezvous(_)
                | Self::Log(_)
                | Self::OpenGroup(_)
        )
    }
}

impl Choice {
    /// Picks the alternative for `share`, a random number in [0, 1).
    pub fn pick(&self, share: f64) -> usize {
        let total: f64 = self.options.iter().map(|(weight, _)| weight).sum();
        let mut left = share * total;
        for (weight, to) in &self.options {
            left -= weight;
            if left < 0.0 {
                return *to;
            }
        }
        // Rounding can leave a remainder; it counts for the last.
        self.options.last().map_or(0, |(_, to)| *to)
    }
}
