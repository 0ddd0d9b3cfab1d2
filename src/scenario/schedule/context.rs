//! What the reader of a schedule file needs of its caller: the time, and the arguments of a run.
//!
//! `cli` makes it; `job` asks it.
//! Invariant: the reader itself has no clock and knows no option.

/// What the reader of a schedule file needs to know.
#[derive(Clone, Copy)]
pub struct ScheduleContext<'a> {
    /// The time, in seconds since the epoch: each job has to be due after it.
    pub now: u64,
    /// Whether `manada run` takes these arguments of a job.
    pub check_args: &'a dyn Fn(&[String]) -> Result<(), WrongArgument>,
}

impl ScheduleContext<'static> {
    /// A context in which all arguments are taken: for what looks at the file alone.
    pub fn of_file_alone(now: u64) -> Self {
        Self { now, check_args: &|_| Ok(()) }
    }
}

/// An argument that `manada run` does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongArgument {
    /// Its place in the list; `None`: that is not known.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to do, if that is known.
    pub help: Option<String>,
}
