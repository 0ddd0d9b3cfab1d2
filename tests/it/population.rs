//! Tests that closed users stay, with their connections, for as long as the load needs them,
//! counted by a real server.

use crate::harness::Manada;
use crate::nginx::Nginx;

/// nginx's status of the connections: more than fifty.
const SEEN: &str = "Active connections: 5[1-9]";

#[test]
fn users_that_think_keep_their_connections_to_the_end_of_the_load() {
    let nginx = Nginx::start();
    // Fifty users make one call and think until long after the load's end. From second 3 to 5.5 of
    // 6 a prober reads nginx's count of their connections and its own.
    let scenario = format!(
        "services: {{ it: \"http://{}\" }}\nworkloads:\n  holders:\n    think: 60s\n    \
         users: [ {{ ramp: 50, over: 1s }}, {{ hold: 5s }} ]\n    flow: [ {{ get: /page }} ]\n  \
         prober:\n    start: 3s\n    duration: 2500ms\n    \
         arrivals: {{ rate: 4/s, max_users: 1 }}\n    \
         flow: [ {{ get: /status, check: {{ body: {{ matches: \"{SEEN}\" }} }} }} ]\n\
         thresholds: [ checks == 100%, achieved.users > 95%, errors == 0% ]\n",
        nginx.plain
    );
    let done = Manada::run(&scenario, &[]).go();
    let report = done.report(0);
    let holders = &report["workloads"][0]["users"];
    assert_eq!(holders["start_failed"], 0, "{done}");
    assert!(holders["target_user_s"].as_f64().unwrap() > 270.0, "{done}");
    assert!(holders["achieved_percent"].as_f64().unwrap() > 95.0, "{done}");
    assert_eq!(report["workloads"][1]["users"], serde_json::Value::Null, "{done}");
}
