//! Why a run has no objects.
//!
//! Invariant: each refusal names what does not fit, and what to do.

/// Parts that are valid each, and do not fit together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterRefusal {
    /// The names of pods would be too long.
    #[error(
        "the run `{run}` has too long a name: the host names of its agents would be longer than 63 \
         characters; use at most {most} characters"
    )]
    LongRun {
        /// Name of the run.
        run: String,
        /// The bound, characters.
        most: usize,
    },
    /// `--with-redis` without what it needs.
    #[error(
        "`--with-redis` needs `{0}`: the bus of a run is encrypted and has a password, which are \
         in Secrets"
    )]
    RedisNeeds(&'static str),
    /// `--with-redis` with a bus that is elsewhere.
    #[error(
        "`--with-redis` creates the bus, so `--bus` names its Service, such as \
         rediss://redis:6379; `{0}` is {1}"
    )]
    RedisElsewhere(String, &'static str),
    /// Two variables have one name.
    #[error("`--secret-env {0}` is there twice; name each variable once")]
    SameVariable(String),
    /// A variable that the agents get anyway.
    #[error("`--secret-env {0}` is that of the bus; use `--bus-secret`")]
    VariableOfBus(String),
}
