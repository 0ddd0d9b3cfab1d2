//! Scenarios and archetypes: the language, compiled from YAML to a plan.
//!
//! `cli` calls [`load`] for a file and [`hit::plan`] for the scenario of its own command line.
//! Invariant: no other folder knows YAML, and a returned plan needs no further checks.
//!
//! `syntax` reads YAML and reports mistakes; `flow`, `load`, `service` and `client` compile the
//! parts of a scenario, `compile` all of it; `lint` warns; `schema` describes the language.

pub mod agent_limits;
#[cfg(test)]
mod bundle_tests;
mod cache;
mod ceilings;
mod client;
mod compile;
mod flow;
pub mod hit;
mod http_version;
mod library;
mod limits;
mod lint;
mod load;
mod loader;
mod nouns;
mod overlay;
mod overrides;
pub mod prices;
mod safety;
#[cfg(feature = "schedule")]
mod schedule;
pub mod schema;
mod service;
mod shift;
mod syntax;
#[cfg(test)]
mod tests;
mod thresholds;

pub use hit::HitOptions;
pub use loader::{environments, load};
pub use overrides::ScenarioOverrides;
#[cfg(feature = "schedule")]
pub use schedule::{ScheduleContext, WrongArgument, is_schedule, load_schedule};
pub use syntax::mistake::{Mistake, Mistakes, SourcePlace, Warning};
