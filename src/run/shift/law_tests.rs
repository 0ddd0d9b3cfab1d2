//! Worlds of a shift: two targets whose calls are made up, under virtual time.

use std::time::Duration;

use super::*;
use crate::plan::shift::ShiftCommands;
use crate::verdict::SideRule;

/// Calls of one target in a second: how many, how many of them failed, and how long each took, ms.
type SideSecond = (u64, u64, u64);

fn side((calls, failed, ms): SideSecond) -> StepWindow {
    let mut side = StepWindow::default();
    (side.calls.made, side.calls.failed, side.calls.ok) = (calls, failed, calls - failed);
    (0..calls).for_each(|_| side.response.record_response(ms * 1_000_000));
    side
}

fn plan(rules: &[&str], commands: ShiftCommands) -> ShiftPlan {
    ShiftPlan {
        service: crate::ids::ServiceId::new(0),
        steps: vec![10, 50, 100],
        start: Duration::from_secs(5),
        hold: Duration::from_secs(10),
        min_calls: 20,
        rules: rules.iter().map(|rule| SideRule::parse(rule).unwrap()).collect(),
        commands,
    }
}

/// Runs a shift for 100 s; `world` has the seconds of both targets at a second and a share. Each
/// command ends after a second, as `result` says.
fn run(
    plan: ShiftPlan,
    world: impl Fn(u32, u32) -> [SideSecond; 2],
    result: impl Fn(ShiftCommand) -> Result<(), String>,
) -> (Vec<(u32, String)>, ShiftReport) {
    let targets = ["old".to_owned(), "new".to_owned()];
    let mut law = ShiftLaw::new(plan, "shop".to_owned(), targets);
    let (mut share, mut log, mut running) = (0, Vec::new(), None);
    for second in 0..100 {
        let now = RunOffset::from_ns(u64::from(second) * SECOND_NS);
        let mut actions = law.second(now);
        if let Some(command) = running.take() {
            actions.extend(law.ended(now, result(command)));
        }
        for action in actions {
            match action {
                ShiftAction::Run(command, step, percent) => {
                    running = Some(command);
                    log.push((second, format!("{command:?} {step} {percent}")));
                }
                ShiftAction::Share { from, to, .. } => {
                    share = to;
                    log.push((second, format!("{from} → {to}")));
                }
                ShiftAction::End => log.push((second, "end".to_owned())),
                ShiftAction::Stop(_) => log.push((second, "stop".to_owned())),
            }
        }
        let [old, new] = world(second, share);
        law.absorb(second, [&side(old), &side(new)]);
    }
    (log, law.report())
}

/// Twenty calls a second, divided by the share; those of the new target fail or take as given.
fn divided(share: u32, (failed, ms): (u64, u64)) -> [SideSecond; 2] {
    let new = u64::from(share) * 40 / 100;
    [(40 - new, 0, 10), (new, failed.min(new), ms)]
}

fn words(log: &[(u32, String)]) -> Vec<&str> {
    log.iter().map(|(_, text)| text.as_str()).collect()
}

const DEFAULT: [&str; 2] = ["errors < 5%", "response.p95 < 5s"];

#[test]
fn a_good_target_gets_all_users_step_by_step() {
    let world = |_, share| divided(share, (0, 10));
    let (log, report) = run(plan(&DEFAULT, ShiftCommands::default()), world, |_| Ok(()));
    assert_eq!(words(&log), ["0 → 10", "10 → 50", "50 → 100", "100 → 100"]);
    // It begins at 5 s; each step is held for 10 s, and judged 2 s later.
    let at: Vec<u32> = log.iter().map(|(second, _)| *second).collect();
    assert_eq!(at, [5, 17, 29, 41]);
    assert_eq!(report.outcome, ShiftOutcome::Complete);
    let percents: Vec<_> = report.steps.iter().map(|step| (step.percent, step.passed)).collect();
    assert_eq!(percents, [(10, true), (50, true), (100, true)]);
    // From 6 to 15 s: nine whole seconds with 36 and 4 calls.
    assert_eq!(report.steps[0].sides.map(|side| side.calls), [360, 40]);
    assert_eq!(report.steps[1].sides[1].errors, Some(0.0));
}

#[test]
fn the_first_step_that_fails_takes_all_users_back() {
    for (rules, bad) in [
        (&["errors < 5%"][..], (2, 10)),
        (&["response.p95 < 20ms"], (0, 30)),
        (&["response.p95 < 1.5 * old"], (0, 30)),
    ] {
        let world = |_, share| divided(share, if share >= 50 { bad } else { (0, 10) });
        let (log, report) = run(plan(rules, ShiftCommands::default()), world, |_| Ok(()));
        assert_eq!(words(&log), ["0 → 10", "10 → 50", "50 → 0", "stop"], "{rules:?}");
        assert_eq!(report.outcome, ShiftOutcome::RolledBack);
        assert!(report.why.starts_with(rules[0]), "{}", report.why);
        assert!(report.steps[0].passed && !report.steps[1].passed);
    }
}

#[test]
fn a_ratio_at_100_percent_is_to_the_old_target_before() {
    let world = |_, share| divided(share, (0, if share == 100 { 30 } else { 10 }));
    let rules = plan(&["response.p95 < 2 * old"], ShiftCommands::default());
    let (log, _) = run(rules, world, |_| Ok(()));
    assert_eq!(words(&log), ["0 → 10", "10 → 50", "50 → 100", "100 → 0", "stop"]);
}

#[test]
fn a_step_with_too_few_calls_is_held_for_longer_and_then_fails() {
    let world = |_, _| [(10, 0, 1), (0, 0, 1)];
    let (log, report) = run(plan(&DEFAULT, ShiftCommands::default()), world, |_| Ok(()));
    assert_eq!(log, [(5, "0 → 10".to_owned()), (35, "10 → 0".to_owned()), (35, "stop".to_owned())]);
    assert_eq!(report.why, "0 calls on the new target, 20 are needed to judge it");
    // One call a second is enough after 21 s.
    let world = |_, _| [(10, 0, 1), (1, 0, 1)];
    let (_, report) = run(plan(&DEFAULT, ShiftCommands::default()), world, |_| Ok(()));
    assert_eq!(report.outcome, ShiftOutcome::Complete);
}

#[test]
fn commands_run_around_each_step_and_a_failed_one_rolls_back() {
    let text = |text: &str| Some(text.to_owned());
    let commands = ShiftCommands { before: text("b"), after: text("a"), rollback: text("r") };
    let world = |_, share| divided(share, (0, 10));
    let (log, report) = run(plan(&DEFAULT, commands.clone()), world, |_| Ok(()));
    let expected = [
        "Before 0 10",
        "0 → 10",
        "After 0 10",
        "Before 1 50",
        "10 → 50",
        "After 1 50",
        "Before 2 100",
        "50 → 100",
        "After 2 100",
        "100 → 100",
    ];
    assert_eq!(words(&log), expected);
    assert_eq!(report.outcome, ShiftOutcome::Complete);
    let fails =
        |what| move |command| if command == what { Err("failed".to_owned()) } else { Ok(()) };
    let (log, report) = run(plan(&DEFAULT, commands.clone()), world, fails(ShiftCommand::Before));
    assert_eq!(words(&log), ["Before 0 10", "Rollback 0 0", "0 → 0", "stop"]);
    assert_eq!(report.why, "at 0 %, before the first step: `before` failed");
    let (log, _) = run(plan(&DEFAULT, commands.clone()), world, fails(ShiftCommand::After));
    assert_eq!(words(&log)[..4], ["Before 0 10", "0 → 10", "After 0 10", "Rollback 0 10"]);
    // The load goes back also if that command fails.
    let bad = |_, share| divided(share, (9, 10));
    let (log, report) = run(plan(&DEFAULT, commands), bad, fails(ShiftCommand::Rollback));
    assert_eq!(words(&log)[2..], ["Rollback 0 10", "10 → 0", "stop"]);
    assert!(report.why.ends_with("; `rollback` failed"), "{}", report.why);
}

fn at(second: u64) -> RunOffset {
    RunOffset::from_ns(second * SECOND_NS)
}

fn law(commands: ShiftCommands) -> ShiftLaw {
    let targets = ["old".to_owned(), "new".to_owned()];
    ShiftLaw::new(plan(&DEFAULT, commands), "shop".to_owned(), targets)
}

/// All three commands.
fn all() -> ShiftCommands {
    let text = |text: &str| Some(text.to_owned());
    ShiftCommands { before: text("b"), after: text("a"), rollback: text("r") }
}

/// The step of a shift with `before` is held from 6 s on, and has calls.
fn held(commands: ShiftCommands) -> ShiftLaw {
    let mut law = law(commands);
    law.second(at(5));
    law.ended(at(6), Ok(()));
    (6..9).for_each(|second| law.absorb(second, [&side((36, 0, 10)), &side((4, 1, 20))]));
    law
}

const UNHEALTHY: &str = "the new target is unhealthy: status 503";

#[test]
fn an_unhealthy_target_is_left_at_once_and_its_step_is_not_judged() {
    let mut law = held(ShiftCommands::default());
    let actions = law.unhealthy(at(8), "status 503");
    let stop = "the shift was rolled back at 10 %".to_owned();
    let share = ShiftAction::Share { from: 10, to: 0, why: UNHEALTHY.to_owned() };
    assert_eq!(actions, [share, ShiftAction::Stop(stop)]);
    assert_eq!(law.unhealthy(at(9), "status 503"), [], "once");
    let report = law.report();
    let step = &report.steps[0];
    assert_eq!((step.judged_s, step.why.as_str()), (None, UNHEALTHY));
    assert_eq!(step.decision(), "not judged");
    // From 5 to 8 s: the seconds 6 and 7, whole or not, have calls.
    assert_eq!(step.sides.map(|side| side.calls), [72, 8]);
}

#[test]
fn a_shift_to_an_unhealthy_target_does_not_begin() {
    let mut law = law(all());
    assert_eq!(law.unhealthy(at(1), "status 503"), []);
    let why = format!("at 0 %, before the first step: {UNHEALTHY}");
    let share = ShiftAction::Share { from: 0, to: 0, why: why.clone() };
    let stop = ShiftAction::Stop("the shift was rolled back at 0 %".to_owned());
    assert_eq!(law.second(at(5)), [share, stop], "nothing was moved, nothing is undone");
    let report = law.report();
    assert_eq!((report.outcome, report.why), (ShiftOutcome::RolledBack, why));
    // One that is healthy again in time gets its users.
    let mut law = self::law(ShiftCommands::default());
    law.unhealthy(at(1), "status 503");
    law.healthy();
    assert!(matches!(law.second(at(5))[..], [ShiftAction::Share { to: 10, .. }]));
}

#[test]
fn a_command_is_ended_before_rollback_runs_and_its_end_is_not_that_of_rollback() {
    for result in [Ok(()), Err("was ended".to_owned())] {
        let mut law = law(all());
        law.second(at(5));
        assert_eq!(law.unhealthy(at(7), "status 503"), [ShiftAction::End]);
        let rollback = ShiftAction::Run(ShiftCommand::Rollback, 0, 0);
        assert_eq!(law.ended(at(7), result), [rollback]);
        assert_eq!(law.unhealthy(at(8), "status 503"), []);
        assert_eq!(law.ended(at(9), Ok(())).len(), 2, "the users go back, the load stops");
        let why = format!("at 0 %, before the first step: {UNHEALTHY}");
        assert_eq!(law.report().why, why);
    }
}

#[test]
fn a_shift_whose_load_ends_is_undone() {
    let mut law = held(all());
    let rollback = ShiftAction::Run(ShiftCommand::Rollback, 0, 10);
    assert_eq!(law.load_over(at(8)), [rollback]);
    assert_eq!(law.load_over(at(9)), [], "once");
    let actions = law.ended(at(9), Ok(()));
    assert!(matches!(actions[..], [ShiftAction::Share { from: 10, to: 0, .. }]), "{actions:?}");
    let report = law.report();
    assert_eq!(report.outcome, ShiftOutcome::Unfinished);
    assert_eq!(report.why, "the load ended in the step of 10 %; `rollback` was run");
    assert_eq!(report.steps[0].why, "the load ended before it was judged");
    assert_eq!(report.steps[0].sides[1].calls, 8);
    // While `before` runs, that is ended first.
    let mut law = self::law(all());
    law.second(at(5));
    assert_eq!(law.load_over(at(6)), [ShiftAction::End]);
    let rollback = ShiftAction::Run(ShiftCommand::Rollback, 0, 0);
    assert_eq!(law.ended(at(6), Err("was ended".to_owned())), [rollback]);
    assert_eq!(law.ended(at(7), Err("failed".to_owned())), []);
    let why = "the load ended while `before` ran for 10 %; `rollback` failed";
    assert_eq!(law.report().why, why);
    // Without `rollback` the report says what is left.
    let mut law = held(ShiftCommands { rollback: None, ..all() });
    assert_eq!(law.load_over(at(8)), []);
    let why = "the load ended in the step of 10 %; the commands were not rolled back: the last \
               `before` was for 10 %";
    assert_eq!(law.report().why, why);
    // Neither one that has not begun nor one that is complete is undone.
    let mut law = self::law(all());
    assert_eq!(law.load_over(at(1)), []);
    assert_eq!(law.second(at(5)), []);
    let world = |_, share| divided(share, (0, 10));
    let (_, report) = run(plan(&DEFAULT, ShiftCommands::default()), world, |_| Ok(()));
    assert_eq!(report.outcome, ShiftOutcome::Complete);
}

#[test]
fn a_rollback_that_is_not_waited_for_is_told() {
    let why = "the load ended in the step of 10 %; `rollback` was skipped, the last `before` was \
               for 10 %";
    for is_running in [false, true] {
        let mut law = held(all());
        if is_running {
            law.load_over(at(8));
        }
        let actions = law.give_up(at(8), "was skipped");
        let has_rollback = actions.iter().any(|one| matches!(one, ShiftAction::Run(..)));
        assert!(actions.contains(&ShiftAction::End) && !has_rollback, "{actions:?}");
        assert_eq!(law.report().why, why);
        assert_eq!(law.ended(at(9), Err("was ended".to_owned())), []);
        assert_eq!(law.give_up(at(9), "was skipped"), []);
    }
}

#[test]
fn figures_of_a_side_without_responses_are_bounds() {
    let mut new = side((83, 0, 4));
    new.response.record_untimed_n(crate::stats::latency::Untimed::NoResponse, 17);
    let shown = SideFigures::of(&new);
    assert_eq!((shown.response_us[0].is_some(), shown.at_least), (true, [false, true]));
    assert!(shown.response_us[1].is_some_and(|us| us >= 4_000));
}

#[test]
fn seconds_that_come_a_little_early_count() {
    // What wakes the dispatcher is late by 60 ms, then by 50 ms.
    let late = |second: u64, ms: u64| RunOffset::from_ns(second * SECOND_NS + ms * 1_000_000);
    let mut law = law(ShiftCommands::default());
    law.second(late(5, 60));
    (6..16).for_each(|second| law.absorb(second, [&side((36, 0, 10)), &side((4, 0, 10))]));
    assert_eq!(law.second(late(16, 50)), []);
    assert!(matches!(law.second(late(17, 50))[..], [ShiftAction::Share { to: 50, .. }]));
}
