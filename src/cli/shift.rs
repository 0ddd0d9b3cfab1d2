//! `manada shift`: moves a running load from one target to another.
//!
//! `mod` passes the arguments; the scenario gets a `shift` of them, and `run` runs it.
//! Invariant: the command is a run whose scenario has the key `shift`; nothing else differs.

use std::time::Duration;

use serde_json::json;

use super::{args, run};
use crate::units::show_duration;

#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_long_help = "\
Examples:
  manada shift shop.yaml --to http://127.0.0.1:8082
  manada shift shop.yaml --to http://green:8080 --steps 5%,50%,100% --hold 2m
  manada shift shop.yaml --to http://green:8080 --rule 'response.p95 < 1.2 * old'
  manada shift shop.yaml --to http://green:8080 --before './weights.sh $MANADA_SHIFT_PERCENT'

The load of the scenario goes on while its users move, step by step. Each step is held, and judged \
by the rules on the new target's calls. If one fails, all users go back, and the exit code is 4.")]
pub(super) struct Args {
    /// URL of the new target
    #[arg(long, value_name = "URL", help_heading = "Scenario")]
    to: Option<String>,
    /// Service whose users move (default: the first)
    #[arg(long, value_name = "NAME", hide_short_help = true, help_heading = "Scenario")]
    service: Option<String>,
    /// Shares of the new target (default: 10%,25%,50%,75%,100%)
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        hide_short_help = true,
        help_heading = "Scenario"
    )]
    steps: Vec<String>,
    /// How long a step is held, e.g. 2m (default: 30s)
    #[arg(long, value_name = "D", value_parser = args::duration, help_heading = "Scenario")]
    hold: Option<Duration>,
    /// Rule of the new target, e.g. 'response.p95 < 1.2 * old'; repeatable
    #[arg(long, value_name = "RULE", help_heading = "Scenario")]
    rule: Vec<String>,
    /// Shell command before each step
    #[arg(long, value_name = "COMMAND", hide_short_help = true, help_heading = "Scenario")]
    before: Option<String>,
    /// Shell command after each step that passed
    #[arg(long, value_name = "COMMAND", hide_short_help = true, help_heading = "Scenario")]
    after: Option<String>,
    /// Shell command before the users go back
    #[arg(long, value_name = "COMMAND", hide_short_help = true, help_heading = "Scenario")]
    rollback: Option<String>,
    #[command(flatten)]
    run: run::Args,
}

impl Args {
    /// The run that the command line stands for.
    pub(super) fn into_run(mut self) -> run::Args {
        let keys = self.keys();
        self.run.add_values(keys);
        self.run
    }

    /// The keys of `shift` that the options set, as `--set` writes them: JSON is YAML.
    fn keys(&self) -> Vec<String> {
        let texts = [
            ("to", &self.to),
            ("service", &self.service),
            ("before", &self.before),
            ("after", &self.after),
            ("rollback", &self.rollback),
        ];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, json!(text.as_ref()?))));
        let lists = [("steps", &self.steps), ("rules", &self.rule)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let lists = lists.map(|(key, list)| (key, json!(list)));
        let hold = self.hold.map(|hold| ("hold", json!(show_duration(hold))));
        let all = texts.chain(lists).chain(hold);
        all.map(|(key, value)| format!("shift.{key}={value}")).collect()
    }
}
