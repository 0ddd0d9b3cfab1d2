use manada::{
    clock,
    curve::Curve,
    engine,
    plan::*,
    seed::Seed,
    stats::{Tally, sample::Shape},
};
use std::{sync::Arc, time::Duration};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let url = a.iter().find(|x| x.starts_with("http://")).unwrap();
    let port: u16 = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let get = |f: &str| {
        a.iter()
            .position(|x| x == f)
            .map(|i| a[i + 1].trim_end_matches('s').trim_end_matches("/").to_string())
    };
    let c: u64 = get("-c").unwrap().parse().unwrap();
    let d: u64 = get("-d").unwrap().parse().unwrap();
    let rate: Option<u64> = get("-r").map(|r| r.parse().unwrap());
    let address = Address { tls: false, host: "127.0.0.1".into(), port, prefix: String::new() };
    let call = Call {
        series: 0,
        service: 0,
        request: Request {
            method: "GET".into(),
            path: template::Template::literal("/"),
            headers: vec![],
            body: Body::None,
        },
        timeout: None,
        think: None,
        captures: vec![],
        checks: vec![],
        expects: vec![],
        max_body: Call::MAX_BODY,
    };
    let load = match rate {
        None => Load::Closed(Users {
            curve: Curve::constant(c, Duration::from_secs(d)),
            bound: load::Bound::Time,
        }),
        Some(r) => Load::Open(Arrivals {
            process: Process::Constant,
            curve: Curve::constant(r * 1_000_000_000, Duration::from_secs(d)),
            iterations: None,
            max_users: c,
        }),
    };
    let plan = Arc::new(Plan {
        scenario: "peek".into(),
        description: None,
        seed: Seed::new(1).unwrap(),
        services: vec![Service {
            name: "a".into(),
            target: Target::Url(address.clone()),
            headers: vec![],
            timeout: Duration::from_secs(30),
            insecure: false,
        }],
        archetypes: vec![Archetype {
            name: "hit".into(),
            description: None,
            think: None,
            pace: None,
            flow: vec![Step::Call(Box::new(call))],
            series: vec!["GET /".into()],
            variables: vec![],
        }],
        workloads: vec![Workload {
            name: "hit".into(),
            shares: vec![Share { archetype: 0, weight: 1.0, first_step: StepId(0) }],
            start: Duration::ZERO,
            load,
            slot_offset: 0,
        }],
        steps: vec![Series { name: "GET /".into(), archetype: 0, workload: 0 }],
        thresholds: vec![],
        warmup: Duration::ZERO,
        grace: Duration::from_secs(10),
    });
    let start = clock::now() + Duration::from_millis(20);
    let (setups, mut source) = engine::set_up(&plan, vec![address], 1, start);
    let engine = engine::start(setups).unwrap();
    let mut tally =
        Tally::new(&Shape { workloads: 1, checks: vec![0], warmup_ns: 0 }, 1, vec![rate.is_some()]);
    clock::block_on(async {
        while let Some(d) = source.deltas.recv().await {
            tally.absorb(&d);
            if d.last {
                break;
            }
        }
    })
    .unwrap();
    engine.join().unwrap();
    let s = tally.snapshot(None);
    let r = s.measured.response(|_| true, s.measured.lost());
    let v = s.measured.service(|_| true);
    let lag = &s.measured.workloads[0].lag;
    eprintln!(
        "it {:?}\ncalls {:?}\nresp p50 {:?} p99 {:?} svc p50 {:?} lag p50 {} p99 {} max {} health {:?} users {} conns {} {:?}",
        s.iterations(),
        s.calls(),
        r.quantile(0.5),
        r.quantile(0.99),
        v.quantile(0.5),
        lag.at_rank(lag.count() / 2),
        lag.at_rank(lag.count() * 99 / 100),
        lag.max_us(),
        s.health,
        s.users_peak,
        s.connections_peak,
        s.errors
    );
    println!("{{\"calls\":{{\"ok\":{}}}}}", s.calls().ok);
}
