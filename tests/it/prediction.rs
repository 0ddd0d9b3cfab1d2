//! Tests of `prewarm: { predict: true }`: users that live control is likely to add are connected
//! before they come.

use crate::builtin::Builtin;
use crate::harness::{LIMIT, Manada, Running, count};

/// A run with ten users that hardly call, and predicts.
fn start(target: &Builtin) -> Running {
    let scenario = format!(
        "scenario: predicted\nservices: {{ it: {{ url: \"{}\", timeout: 30s }} }}\ngrace: 1s\n\
         prewarm: {{ lead: 2s, predict: true }}\nworkloads: {{ w: {{ users: 10, duration: 10m, \
         think: 10m, flow: [ {{ get: / }} ] }} }}\n",
        target.url("")
    );
    let words = ["run", "scenario.yaml", "--json", "--ui", "plain", "-v", "--seed", "1"];
    let running = Manada::new(&words).file("scenario.yaml", &scenario).start();
    // The socket exists after the first second.
    running.hear("| w: ");
    running
}

fn control(running: &Running, words: &[&str]) {
    let mut all = vec!["control", "predicted"];
    all.extend(words);
    let done = Manada::new(&all).env("XDG_RUNTIME_DIR", running.path("")).go();
    assert_eq!(done.code, Some(0), "{words:?}: {done}");
}

#[test]
fn users_that_live_control_is_likely_to_add_are_connected_ahead() {
    let target = Builtin::start(&[]);
    let running = start(&target);
    // Ten more users each second, until connections of users that have not come are open.
    let mut users = 10;
    let mut are_ahead = false;
    for _ in 0..LIMIT.as_secs() {
        users += 10;
        control(&running, &["users", &users.to_string()]);
        running.hear_more();
        // Those of the users, and the one that reads the counts.
        are_ahead = count(&target.stats(), "connections.open") > users + 1;
        if are_ahead && users >= 80 {
            break;
        }
    }
    assert!(are_ahead, "{}", target.stats());
    // Most users leave, and no more are expected: their connections are closed.
    control(&running, &["users", "10"]);
    let is_settled = (0..LIMIT.as_secs()).any(|_| {
        running.hear_more();
        count(&target.stats(), "connections.open") == 11
    });
    assert!(is_settled, "{} with 10 users", target.stats());
    control(&running, &["stop"]);
    let done = running.wait();
    let report = done.report(130);
    assert_eq!(count(&report, "users.peak"), users, "{report}");
    let (ahead, used) =
        (count(&report, "connections.prewarmed"), count(&report, "connections.prewarmed_used"));
    assert!(used > 0 && ahead > used, "{ahead} ahead, {used} used");
    assert_eq!(count(&report, "connections.opened"), users + (ahead - used), "{report}");
    assert_eq!(count(&report, "calls.ok"), users, "{report}");
}
