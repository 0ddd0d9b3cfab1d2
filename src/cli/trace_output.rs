//! Prints the generator's own events on standard error, as `MANADA_TRACE` selects them.
//!
//! `mod` opens it before a command runs; only with the cargo feature `trace`.
//! Invariant: without the variable nothing is printed.

use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable with the filter: `debug`, or `manada::wire=trace,h2=debug`.
const VARIABLE: &str = "MANADA_TRACE";

/// Begins to print the selected events, each with its thread.
///
/// # Errors
/// If the filter cannot be parsed; the text says what was expected.
pub(super) fn open() -> Result<(), String> {
    let Ok(filter) = std::env::var(VARIABLE) else { return Ok(()) };
    let targets = parse(&filter)?;
    let printer = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_timer(time::uptime())
        .with_thread_names(true)
        .with_ansi(false)
        .with_writer(io::stderr)
        .finish();
    printer.with(targets).try_init().map_err(|error| format!("{VARIABLE}: {error}"))
}

fn parse(filter: &str) -> Result<Targets, String> {
    filter.parse().map_err(|error| {
        format!("{VARIABLE}: {error}: expected a level such as debug, or manada::wire=trace")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_select_levels_by_module() {
        let targets = parse("info,manada::wire=trace").unwrap();
        assert!(targets.would_enable("manada::wire::slot", &tracing::Level::TRACE));
        assert!(!targets.would_enable("manada::engine", &tracing::Level::DEBUG));
        assert!(parse("manada=loud").unwrap_err().contains("expected a level"));
    }
}
