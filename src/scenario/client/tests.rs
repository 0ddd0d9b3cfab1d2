//! Tests of policy blocks over their defaults, and of their needs of the machine.

use std::time::Duration;

use crate::forecast::needs::{MachineLimits, certain_shortages, needs};
use crate::plan::policy::{
    BreakerPolicy, BreakerTrip, HedgeAfter, PoolPolicy, PoolStrategy, Priority,
};
use crate::plan::{Plan, Policies};
use crate::scenario::{ScenarioOverrides, load};

/// Loads a scenario with these client settings.
fn plan(client: &str) -> Plan {
    let flow = "[ { post: /login }, { get: /a, fallback: [ { get: /b } ] }, { get: /export/x } ]";
    let text = format!(
        "services: {{ s: 'http://127.0.0.1:1' }}\n\
         workloads: {{ w: {{ flow: {flow}, users: 100, duration: 1m }} }}\n{client}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path, &ScenarioOverrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn client(lines: &str) -> Policies {
    plan(lines).policies
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn default_client_has_no_policies_and_resilient_has_defaults() {
    assert_eq!(client("").parts(), [""; 0]);
    assert_eq!(client("client: measure").parts(), [""; 0]);
    let resilient = client("client: resilient");
    let parts = [
        "breakers at 3 levels",
        "adaptive timeouts",
        "2 retries",
        "connect backoff",
        "degradation",
        "healing",
        "admission",
        "memory budget",
    ];
    assert_eq!(
        (resilient.kind(), resilient.parts()),
        ("resilient", parts.map(str::to_owned).into())
    );
    assert_eq!(resilient.breakers.service, Some(BreakerPolicy::in_a_row(20, s(30))));
}

#[test]
fn blocks_merge_key_by_key() {
    let only = client("breakers: { endpoint: { failures: 7 } }").breakers;
    assert_eq!(only.endpoint, Some(BreakerPolicy::in_a_row(7, s(10))));
    assert_eq!((only.service, only.system), (None, None));
    let over = "client: resilient\nbreakers: { endpoint: { share: 50% }, system: false }";
    let over = client(over).breakers;
    let share = BreakerTrip::Share { share: 0.5, window: s(10), least: 20 };
    assert_eq!(over.endpoint.map(|level| (level.trips, level.open)), Some((share, s(10))));
    assert_eq!(over.service, Some(BreakerPolicy::in_a_row(20, s(30))));
    assert_eq!(over.system, None);
    let off = "client: resilient\nbreakers: false\ntimeouts: { adaptive: false }\nretries: 0\n\
               degradation: { enabled: false }\nhealing: false\nadmission: false\n\
               memory: false\nconnect_backoff: false";
    assert_eq!(client(off).parts(), [""; 0]);
    let hedged = client("hedging: { budget: 2% }").hedging.unwrap();
    assert_eq!((hedged.after, hedged.budget), (HedgeAfter::Percentile(95.0), 0.02));
}

#[test]
fn defaults_yield_to_given_values() {
    for (given, start, min, max) in [
        ("true", 5_000, 1_000, 30_000),
        ("{ max: 800ms }", 800, 800, 800),
        ("{ start: 100ms }", 100, 100, 30_000),
        ("{ start: 1m }", 60_000, 1_000, 60_000),
        ("{ min: 40s }", 40_000, 40_000, 40_000),
        ("{ min: 10s, max: 20s }", 10_000, 10_000, 20_000),
    ] {
        let policy = client(&format!("timeouts: {given}")).timeouts.unwrap();
        let found = [policy.start, policy.min, policy.max].map(|time| time.as_millis());
        assert_eq!(found, [start, min, max], "{given}");
    }
    for (given, min, connections, max) in [
        ("", 10, 100, 100),
        (", connections: 5", 1, 5, 5),
        (", min: 200", 200, 200, 200),
        (", max: 50", 5, 50, 50),
        (", adaptive: true", 10, 100, 200),
        (", adaptive: true, max: 150", 10, 100, 150),
        (", connections: 40, min: 0", 0, 40, 40),
    ] {
        let pools = client(&format!("pools: {{ p: {{ match: '*'{given} }} }}")).pools;
        let PoolPolicy { min: least, connections: at_first, max: most, .. } = pools[0];
        assert_eq!([least, at_first, most], [min, connections, max], "{given}");
    }
}

#[test]
fn pool_strategy_comes_from_strategy_or_keep_alive() {
    let pools_with =
        |given: &str| client(&format!("pools: {{ p: {{ match: '*', {given} }} }}")).pools;
    assert_eq!(pools_with("priority: low")[0].strategy, PoolStrategy::Shared);
    assert_eq!(pools_with("priority: low")[0].priority, Priority::Low);
    assert_eq!(pools_with("keep_alive: false")[0].strategy, PoolStrategy::PerRequest);
    assert_eq!(
        pools_with("strategy: per_user, keep_alive: true")[0].strategy,
        PoolStrategy::PerUser
    );
}

#[test]
fn pools_limit_needed_connections() {
    // 100 users that call /login, /a (or its fallback /b) and /export/x.
    for (pools, connections, certain) in [
        ("", 100, 100),
        ("all: { match: '*', connections: 30 }", 30, 1),
        ("all: { match: '*', connections: 30, adaptive: true }", 60, 1),
        ("all: { match: '*', connections: 300 }", 100, 1),
        ("one: { match: /login, connections: 30 }", 130, 101),
        ("one: { match: /b, connections: 30 }", 130, 101),
        ("own: { match: '*', strategy: per_user }", 100, 100),
        ("bulk: { match: '/export/*', keep_alive: false }", 200, 100),
    ] {
        let plan = plan(&format!("pools: {{ {pools} }}"));
        let most = needs(&plan, &[100]);
        assert_eq!((most.connections, most.ports[0].connections), (connections, connections));
        let limits = |ports| MachineLimits { ports: Some(ports), ..MachineLimits::default() };
        assert_eq!(certain_shortages(&plan, &limits(certain)).len(), 0, "{pools}");
        assert_eq!(certain_shortages(&plan, &limits(certain - 1)).len(), 1, "{pools}");
    }
}

#[test]
fn fallback_follows_its_call() {
    let plan = plan("");
    let users = &plan.archetypes[0];
    assert!(users.calls[1].has_rescue && !users.calls[0].has_rescue);
    let shown: Vec<String> = users.steps.iter().map(|step| format!("{step:?}")).collect();
    let expected = ["Call(0)", "Call(1)", "Rescue { to: 4 }", "Call(2)", "Call(3)", "End"];
    assert_eq!(shown, expected);
}
