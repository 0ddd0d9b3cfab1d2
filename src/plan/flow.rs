//! What one virtual user does: its steps in order, jumps, loops, waits.
//!
//! `scenario` compiles it from an archetype, `engine::user` walks it.
//! Invariant: a flow is a flat list; a step refers to others by index, so walking needs no
//! recursion and no lookup by name. Every section ends with [`Step::End`].

use std::time::Duration;

use super::call::Call;
use super::data::Feed;
use super::transport::LinkProfile;
use crate::curve::Distribution;
use crate::template::{Template, Typed};

/// A kind of user.
#[derive(Clone, Debug)]
pub struct Archetype {
    /// Its name.
    pub name: String,
    /// Whom it models.
    pub description: Option<String>,
    /// Waited after each call but the last of an iteration, and in the closed model after the
    /// last too.
    pub think: Option<Distribution>,
    /// Start-to-start time of iterations in the closed model.
    pub pace: Option<Duration>,
    /// What its way to the network is like; none: as it is.
    pub link: Option<LinkProfile>,
    /// How long a user of the closed model stays the same one.
    pub session: Session,
    /// All request steps, by the index that steps name.
    pub calls: Vec<Call>,
    /// All steps of all sections.
    pub steps: Vec<Step>,
    /// Where the sections begin.
    pub sections: Sections,
    /// The names of its series, in the order of `Call::series`.
    pub series: Vec<String>,
    /// The tags of each series: its own and its steps'.
    pub tags: Vec<Vec<(String, String)>>,
    /// The names of its groups, in the order of `Step::OpenGroup`.
    pub groups: Vec<String>,
    /// The names of its variables, in the order of their slots: first what the scenario's `setup`
    /// left, then its own.
    pub variables: Vec<String>,
    /// What its variables are when a user begins.
    pub vars: Vec<(usize, Typed)>,
    /// The variable that holds the status of the last answer, when somebody reads it.
    pub status: Option<usize>,
    /// The rows that its variables take.
    pub data: Vec<DataDraw>,
    /// How many loops count at once.
    pub counters: usize,
    /// How many places it has where users gather.
    pub rendezvous: usize,
}

/// Where an archetype's sections begin in its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// What a user does once, as the beginning of its first iteration.
    pub on_start: Option<usize>,
    /// An iteration.
    pub flow: usize,
    /// What a user does once, after its last iteration.
    pub on_stop: Option<usize>,
}

/// How long a user of the closed model stays the same: then a new one takes its place.
#[derive(Clone, Debug, Default)]
pub enum Session {
    /// As long as the load wants it.
    #[default]
    Endless,
    /// For so many iterations.
    Iterations(u64),
    /// For so long, drawn by user; it ends with the iteration it is in.
    Duration(Distribution),
}

/// A variable that takes rows of a feed.
#[derive(Clone, Debug)]
pub struct DataDraw {
    /// The variable's slot.
    pub variable: usize,
    /// Where the rows are and which is whose.
    pub feed: Feed,
    /// A new row for each iteration, not one for each user.
    pub per_iteration: bool,
}

/// One step of a flow.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request: index into `Archetype::calls`.
    Call(usize),
    /// Requests at the same time.
    Parallel(Parallel),
    /// A wait of the user's own.
    Pause(Distribution),
    /// Variables get values, one after the other.
    Set(Vec<(usize, Typed)>),
    /// A line for the run's log.
    Log(Template),
    /// Users wait for each other.
    Rendezvous(Rendezvous),
    /// From here on a group is timed: index into `Archetype::groups`.
    OpenGroup(u16),
    /// The group opened last ends.
    CloseGroup,
    /// One of several ways, drawn by weight.
    Choose(Choice),
    /// Goes on with the next step when the condition holds, else at `to`.
    If {
        /// The condition.
        condition: Typed,
        /// Where it goes on otherwise.
        to: usize,
    },
    /// A loop counter gets its value.
    Count {
        /// Which counter.
        counter: usize,
        /// How many rounds; more than [`MAX_ROUNDS`] are an error.
        times: Typed,
    },
    /// Goes on with the next step while the counter has rounds left, else at `to`.
    Round {
        /// Which counter.
        counter: usize,
        /// Where it goes on when none is left.
        to: usize,
    },
    /// Goes on at `to` when the call before was answered as wanted, else with the next step.
    Rescue {
        /// Where it goes on when there is nothing to rescue.
        to: usize,
    },
    /// Goes on there.
    Jump(usize),
    /// The section ends.
    End,
}

/// Requests at the same time; the step ends with the last of them.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// The requests.
    pub branches: Vec<Branch>,
    /// Overrides the archetype's think after this step.
    pub think: Option<Distribution>,
}

/// A request among others at the same time.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Index into `Archetype::calls`.
    pub call: usize,
    /// The branches, all before this one, that have to end first.
    pub needs: Vec<usize>,
}

/// Where users wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    /// Which of its archetype's gatherings.
    pub gathering: usize,
    /// They go on together when so many are there.
    pub users: u64,
    /// A user goes on alone after so long.
    pub wait: Duration,
}

/// Ways to go on, by weight.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Weight and step of each way; weights are positive.
    pub ways: Vec<(f64, usize)>,
}

/// The most rounds one loop may make: what a template asks for is bounded.
pub const MAX_ROUNDS: u64 = 1_000_000;

impl Parallel {
    /// Calls of one user at the same time: what browsers allow per host with HTTP/1.1.
    pub const AT_ONCE: usize = 6;
}

impl Archetype {
    /// Users who make these calls one after the other; steps of the same series share its name.
    pub fn of_calls(name: &str, calls: Vec<Call>, series: Vec<String>) -> Self {
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
        }
    }

    /// The same users in a hurry: they neither think nor pause nor wait for each other.
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
    /// Whether the user's think after an earlier call comes before it.
    pub const fn takes_time(&self) -> bool {
        matches!(
            self,
            Self::Call(_)
                | Self::Parallel(_)
                | Self::Rendezvous(_)
                | Self::Log(_)
                | Self::OpenGroup(_)
        )
    }
}

impl Choice {
    /// The way that `share`, from 0 to below 1, falls on.
    pub fn way(&self, share: f64) -> usize {
        let total: f64 = self.ways.iter().map(|(weight, _)| weight).sum();
        let mut left = share * total;
        for (weight, to) in &self.ways {
            left -= weight;
            if left < 0.0 {
                return *to;
            }
        }
        // Rounding can leave a sliver: it belongs to the last.
        self.ways.last().map_or(0, |(_, to)| *to)
    }
}
