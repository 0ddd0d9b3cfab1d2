//! Events of the generator itself, for developers: `trace_event!`, with the cargo feature `trace`.
//!
//! `engine` and `wire` record events; `cli::trace_output` prints them.
//! Invariant: without the feature no argument is evaluated, and no code is made.

/// Records an event with a level of `tracing` (`INFO`, `DEBUG`, `TRACE`) and values by name:
/// `trace_event!(DEBUG, "connection closed", requests = 7)`. The values are printed by `Display`.
#[cfg(feature = "trace")]
macro_rules! trace_event {
    ($level:ident, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {
        tracing::event!(tracing::Level::$level, $($name = %$value,)* $message)
    };
}

/// Names the values, so that they are used in every build, and evaluates none.
#[cfg(not(feature = "trace"))]
macro_rules! trace_event {
    ($level:ident, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        let _ = || {
            $(let _ = &$value;)*
        };
    }};
}

pub(crate) use trace_event;
