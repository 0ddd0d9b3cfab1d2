//! Reports: pure functions from a [`crate::event::Report`] to text, JSON, CSV, HTML and other
//! forms.
//!
//! `sinks` writes what they return to files and screens; `cli` prints it.
//! Invariant: nothing here opens a file, a socket or a terminal, and nothing here knows that a run
//! goes on.

mod addresses;
pub(crate) mod ansi;
mod backends;
mod caches;
pub mod checkup;
mod client_json;
mod contents;
pub mod cost;
pub(crate) mod csv;
pub mod dry_run;
mod event_json;
pub(crate) mod events;
mod failures;
pub mod forecast;
pub mod forecast_json;
pub mod formats;
mod histogram_text;
pub mod json;
pub(crate) mod json_parts;
pub mod layout;
mod load_text;
mod messages_json;
mod messages_text;
mod monitors;
pub(crate) mod overrides;
pub(crate) mod page;
pub(crate) mod quantile_text;
mod resilience_summary;
mod results_text;
pub(crate) mod rows;
pub(crate) mod shift;
mod steps;
pub mod summary;
mod text_lines;
pub(crate) mod text_table;
mod traces_json;
