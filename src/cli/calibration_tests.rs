//! Scenarios of calibrations: they load, and have the load of the plan.

use super::*;
use crate::plan::Load;
use crate::scenario::{ScenarioOverrides, load};

fn calibration() -> Calibration {
    Calibration {
        rates: vec![100.0],
        peak: 100.0,
        users: None,
        calls: 1.0,
        iteration_s: 0.02,
        opens: false,
        behaviour: CalibrationBehaviour {
            tls: false,
            http2: false,
            body: 1_000,
            service_time: Duration::from_millis(20),
        },
        body: 0,
        shards: 1,
        rounds: 5,
    }
}

/// Loads the scenario of a round.
fn plan(own: &Calibration, rate: f64) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.path().join("ca.pem"), authority.cert.pem()).unwrap();
    let file = folder.path().join("scenario.yaml");
    fs::write(&file, own.scenario(rate, "127.0.0.1:9")).unwrap();
    let (plan, warnings) =
        load(&file, &ScenarioOverrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(warnings.is_empty(), "{}", own.scenario(rate, "127.0.0.1:9"));
    plan
}

/// Calls of a scenario, per second, and its users.
fn load_of(plan: &Plan) -> (f64, f64) {
    let target = crate::forecast::TargetAssumptions { fallback_s: 0.02, series_s: Vec::new() };
    let forecast = Forecast::new(plan, &target);
    (forecast.totals().1 / forecast.end_s, forecast.workloads[0].users)
}

#[test]
fn arrivals_have_the_rate_of_the_plan() {
    for (calls, iteration_s) in [(1.0, 0.02), (4.0, 0.08), (4.0, 3.0)] {
        let own = Calibration { calls, iteration_s, ..calibration() };
        let plan = plan(&own, 100.0);
        let (rate, _) = load_of(&plan);
        assert!((rate - 100.0).abs() < 2.0, "{calls} calls in {iteration_s} s: {rate}");
        assert!(matches!(plan.workloads[0].load, Load::Open(_)));
    }
}

#[test]
fn closed_users_are_those_of_the_plan_and_fewer_at_a_lower_rate() {
    // 500 users with 100 calls a second: each calls every five seconds.
    let own = Calibration { users: Some(500.0), ..calibration() };
    let (rate, users) = load_of(&plan(&own, 100.0));
    assert!((users - 500.0).abs() < 1.0 && (rate - 100.0).abs() < 100.0, "{rate}, {users}");
    let (_, users) = load_of(&plan(&own, 20.0));
    assert!((users - 100.0).abs() < 1.0, "{users}");
    // As many as a process has descriptors for, which think less.
    let own = Calibration { users: Some(90_000.0), peak: 9_000.0, ..own };
    let (_, users) = load_of(&plan(&own, 9_000.0));
    assert!((users - MAX_USERS).abs() < 1e-9, "{users}");
}

#[test]
fn transport_and_bodies_are_those_of_the_plan() {
    for (tls, http2) in [(false, false), (true, false), (false, true), (true, true)] {
        let behaviour = CalibrationBehaviour { tls, http2, ..calibration().behaviour };
        let plan = plan(&Calibration { behaviour, body: 2_000, ..calibration() }, 50.0);
        let service = &plan.services[crate::ids::ServiceId::first(1).next().unwrap()];
        let ServiceTarget::Url(address) = &service.target else { panic!("{service:?}") };
        assert_eq!(address.tls, tls);
        assert_eq!(service.transport.version == HttpVersion::Http2, http2);
        assert_eq!(service.transport.tls.roots.len(), usize::from(tls));
        assert_eq!(body_len(&plan.archetypes[0].calls[0].request.body), 2_000);
    }
    let plan = plan(&Calibration { opens: true, ..calibration() }, 50.0);
    assert_eq!(plan.policies.pools[0].strategy, PoolStrategy::PerRequest);
}
