//! The search against simulated limiters: the limit that is found is the one that is there.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::advertised::{Advertised, AdvertisedLimit};
use super::bounds::Bounds;
use super::finding::{
    LimitScope, ProbeFinding, ProbeStop, RateFinding, ScopeDimension, WindowKind,
};
use super::search::search;
use super::session::SearchOptions;
use super::worlds::{Limiter, World};

fn options() -> SearchOptions {
    SearchOptions {
        max_requests: 1_000,
        max_ns: 60_000_000_000,
        parallel: 32,
        refusals: vec![429, 503],
        subjects: Vec::new(),
    }
}

fn run(world: &mut World, options: &SearchOptions) -> ProbeFinding {
    let mut search = pin!(search(world, options));
    match search.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(finding) => finding,
        Poll::Pending => unreachable!("a simulated target never waits"),
    }
}

/// Whether `bounds` contain `value` but for 2 %, and, if they claim to be that certain, their
/// middle is within 5 % of it.
#[track_caller]
fn close(what: &str, bounds: Bounds, value: f64) {
    assert!(bounds.has(value, 0.02), "{what}: {bounds:?} has no {value}");
    if bounds.uncertainty() > 0.05 {
        return;
    }
    let middle = bounds.middle();
    assert!((middle / value - 1.0).abs() <= 0.05, "{what}: {bounds:?}, not {value}");
}

const LATENCIES: [u64; 3] = [200_000, 2_000_000, 60_000_000];

#[test]
fn buckets_are_measured_within_5_percent_and_their_burst_within_one() {
    for (rate, size) in [
        (20.0, 1.0),
        (20.0, 10.0),
        (5.0, 3.0),
        (100.0, 50.0),
        (50.0, 200.0),
        (2.0, 5.0),
        (10.0, 2.0),
    ] {
        for latency in LATENCIES {
            for seed in 0..4 {
                let what = format!("rate {rate} size {size} latency {latency} seed {seed}");
                for limiter in [Limiter::Bucket(rate, size), Limiter::Nginx(rate, size - 1.0)] {
                    let mut world = World::new(limiter, latency, seed);
                    let finding = run(&mut world, &options());
                    let what = format!("{what} {limiter:?}: {finding:?}");
                    // A bucket of one is full again before a slow target has responded.
                    if latency > 10_000_000 && size < 2.0 && finding.limit == RateFinding::Unknown {
                        continue;
                    }
                    let RateFinding::Bucket { rate: found, burst } = finding.limit else {
                        panic!("{what}")
                    };
                    close(&what, found, rate);
                    if latency < 10_000_000 {
                        assert!((found.middle() / rate - 1.0).abs() <= 0.05, "{what}");
                        assert!(
                            burst.has(size, 0.0) || (burst.middle() - size).abs() <= 1.0,
                            "{what}"
                        );
                        assert_ne!(finding.confirmed, Some(false), "{what}");
                    }
                    let most = if latency < 10_000_000 { 260 + 3 * size as u64 } else { 1_000 };
                    assert!(finding.requests <= most, "{what}");
                }
            }
        }
    }
}

#[test]
fn windows_are_measured_and_their_kind_is_found_where_it_shows() {
    for (requests, window) in [(100.0, 10.0), (20.0, 1.0), (50.0, 5.0), (5.0, 2.0), (30.0, 10.0)] {
        for latency in &LATENCIES[..2] {
            for seed in 0..4 {
                let offset = 0.37 * window * seed as f64;
                for limiter in [
                    Limiter::Fixed(requests, window, offset),
                    Limiter::FromFirst(requests, window),
                    Limiter::Log(requests, window),
                    Limiter::Fading(requests, window),
                ] {
                    let mut world = World::new(limiter, *latency, seed);
                    let finding = run(&mut world, &options());
                    let what = format!("{limiter:?} latency {latency} seed {seed}: {finding:?}");
                    let RateFinding::Window { requests: count, window: found, kind } =
                        finding.limit
                    else {
                        panic!("{what}")
                    };
                    close(&what, found, window);
                    if (count.middle() - requests).abs() > 1.0 {
                        close(&what, count, requests);
                    }
                    let expected = match limiter {
                        Limiter::Fixed(..) => [WindowKind::Aligned, WindowKind::FromFirst],
                        Limiter::FromFirst(..) => [WindowKind::FromFirst; 2],
                        Limiter::Log(..) => [WindowKind::Sliding; 2],
                        _ => [WindowKind::Fading; 2],
                    };
                    assert!(kind == WindowKind::Unknown || expected.contains(&kind), "{what}");
                    let is_whole = requests >= 20.0 && finding.stopped.is_none();
                    if is_whole && !matches!(limiter, Limiter::Fixed(..)) {
                        assert!(expected.contains(&kind), "{what}");
                    }
                    assert!(finding.requests < 5 * requests as u64 + 280, "{what}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_limit_of_the_rate_is_not_taken_for_one() {
    for latency in LATENCIES {
        for seed in 0..8 {
            let mut world = World::new(Limiter::None, latency, seed);
            let finding = run(&mut world, &options());
            assert!(matches!(finding.limit, RateFinding::NoLimit { .. }), "{finding:?}");
            for share in [0.01, 0.05, 0.2, 0.5] {
                let mut world = World::new(Limiter::Random(share), latency, seed);
                world.status = 503;
                let finding = run(&mut world, &options());
                let what = format!("{share} {latency} {seed}: {finding:?}");
                match finding.limit {
                    RateFinding::Unrelated | RateFinding::NoLimit { .. } | RateFinding::Closed => {}
                    // It ended before it could tell.
                    RateFinding::Unknown => {}
                    // Half of all requests: too slow a limit to be tried within the time.
                    RateFinding::Bucket { .. } if share > 0.4 && finding.confirmed.is_none() => {}
                    _ => panic!("{what}"),
                }
            }
        }
    }
}

#[test]
fn requests_at_the_same_time_are_no_rate() {
    for most in [2, 4, 10, 20] {
        for seed in 0..4 {
            let mut world = World::new(Limiter::Concurrent(most), 60_000_000, seed);
            world.status = 503;
            let finding = run(&mut world, &options());
            let expected = RateFinding::Concurrency { requests: u64::from(most) };
            assert_eq!(finding.limit, expected, "{seed}: {finding:?}");
        }
    }
}

#[test]
fn delayed_requests_show_their_rate_and_how_many_may_wait() {
    for (rate, waiting) in [(20.0, 10.0), (50.0, 20.0), (20.0, 100.0)] {
        for seed in 0..4 {
            let mut world = World::new(Limiter::Delay(rate, waiting), 400_000, seed);
            let finding = run(&mut world, &options());
            let RateFinding::Delay { rate: found, waiting: most } = finding.limit else {
                panic!("{rate} {waiting} {seed}: {finding:?}")
            };
            close(&format!("{finding:?}"), found, rate);
            if waiting < 32.0 {
                let most = most.unwrap() as f64;
                assert!((most - waiting).abs() <= 1.0, "{finding:?}");
            }
        }
    }
}

#[test]
fn a_search_ends_at_each_of_its_bounds_with_what_is_known() {
    let mut world = World::new(Limiter::FromFirst(50.0, 3_600.0), 1_000_000, 1);
    let finding = run(&mut world, &options());
    let RateFinding::Window { requests, window, .. } = finding.limit else { panic!("{finding:?}") };
    assert_eq!((requests.low, finding.stopped.clone()), (50.0, Some(ProbeStop::Time)));
    assert!(window.low > 20.0 && window.high.is_infinite(), "{finding:?}");
    assert!(finding.requests < 90, "{finding:?}");
    assert_eq!(finding.rate(), None);

    let mut world = World::new(Limiter::Bucket(20.0, 10.0), 1_000_000, 1);
    let finding = run(&mut world, &SearchOptions { max_requests: 14, ..options() });
    assert_eq!((finding.requests, finding.stopped), (14, Some(ProbeStop::Requests)));

    world = World::new(Limiter::Bucket(20.0, 10.0), 1_000_000, 1);
    world.dies_after = 20;
    let finding = run(&mut world, &options());
    assert!(matches!(finding.stopped, Some(ProbeStop::Unreachable(_))), "{finding:?}");
    assert!(finding.requests < 30, "{finding:?}");

    world = World::new(Limiter::Concurrent(0), 1_000_000, 1);
    let finding = run(&mut world, &options());
    assert_eq!((finding.limit, finding.requests), (RateFinding::Closed, 6));
    // Without a pause it is not known whether it would have helped.
    world = World::new(Limiter::Concurrent(0), 1_000_000, 1);
    let finding = run(&mut world, &SearchOptions { max_requests: 1, ..options() });
    assert_eq!((finding.limit, finding.requests), (RateFinding::Unknown, 1));

    world = World::new(Limiter::Bucket(20.0, 10.0), 1_000_000, 1);
    world.dies_after = 0;
    let finding = run(&mut world, &options());
    assert_eq!(
        (finding.limit, finding.requests),
        (RateFinding::Unknown, 3),
        "{:?}",
        finding.stopped
    );
}

#[test]
fn a_target_that_falls_silent_has_no_known_limit() {
    // Each request fails after 40 s: the time is over before three of them have failed.
    let mut world = World::new(Limiter::None, 40_000_000_000, 1);
    world.dies_after = 0;
    let finding = run(&mut world, &options());
    assert_eq!(finding.limit, RateFinding::Unknown);
    let why = "no response to 2 requests before the time was over";
    assert_eq!(finding.stopped, Some(ProbeStop::Unreachable(why.to_owned())));
    // A target that answers some requests and then none: that is no sign of no limit.
    for latency in LATENCIES {
        let mut world = World::new(Limiter::None, latency, 1);
        world.dies_after = 10;
        let finding = run(&mut world, &options());
        assert_eq!(finding.limit, RateFinding::Unknown, "{finding:?}");
        let why = finding.stopped;
        assert!(matches!(why, Some(ProbeStop::Unreachable(_))), "{why:?}");
    }
    // The same if the requests are used up before three of them have failed.
    let mut world = World::new(Limiter::None, 1_000_000, 1);
    world.dies_after = 10;
    let finding = run(&mut world, &SearchOptions { max_requests: 12, ..options() });
    assert_eq!(finding.limit, RateFinding::Unknown, "{finding:?}");
}

#[test]
fn an_allowance_that_was_used_up_before_comes_back_first() {
    let mut world = World::new(Limiter::Log(50.0, 5.0), 1_000_000, 1);
    world.use_up(50);
    let finding = run(&mut world, &options());
    let RateFinding::Window { requests, window, .. } = finding.limit else { panic!("{finding:?}") };
    close("window", window, 5.0);
    assert!((requests.middle() - 50.0).abs() <= 1.0, "{finding:?}");
}

/// A bucket that others have used is as large as it is, not as large as it was at the moment.
#[test]
fn a_bucket_that_was_in_use_is_measured_whole() {
    for (rate, size) in [(20.0, 10.0), (5.0, 3.0), (100.0, 50.0), (50.0, 100.0)] {
        for share in [0.2, 0.5, 0.8, 0.95] {
            for seed in 0..4 {
                let used = (size * share) as u32;
                let mut world = World::new(Limiter::Bucket(rate, size), 1_000_000, seed);
                world.use_up(used);
                let finding = run(&mut world, &options());
                let what = format!("rate {rate} size {size} used {used} seed {seed}: {finding:?}");
                let RateFinding::Bucket { rate: found, burst } = finding.limit else {
                    panic!("{what}")
                };
                close(&what, found, rate);
                assert!(burst.has(size, 0.0) || (burst.middle() - size).abs() <= 1.0, "{what}");
                assert_ne!(finding.confirmed, Some(false), "{what}");
            }
        }
    }
    // Without the requests for a rest the burst is known from below alone.
    let mut world = World::new(Limiter::Bucket(20.0, 10.0), 1_000_000, 1);
    world.use_up(5);
    let finding = run(&mut world, &SearchOptions { max_requests: 40, ..options() });
    if let RateFinding::Bucket { burst, .. } = finding.limit {
        assert!(burst.has(10.0, 0.0), "{finding:?}");
    }
}

#[test]
fn other_requests_are_sent_while_the_first_are_refused() {
    let subjects = vec![ScopeDimension::Endpoint, ScopeDimension::Address];
    let options = SearchOptions { subjects, ..options() };
    let mut world = World::new(Limiter::Bucket(20.0, 10.0), 1_000_000, 3);
    let finding = run(&mut world, &options);
    // The simulated target limits the first subject alone.
    for dimension in [ScopeDimension::Endpoint, ScopeDimension::Address] {
        assert_eq!(finding.scope.get(&dimension), Some(&LimitScope::Separate), "{finding:?}");
    }
}

/// The allowance may come back between the refusal of one request and the next, another one.
#[test]
fn requests_that_share_a_limit_are_not_taken_for_separate_ones() {
    let subjects = vec![ScopeDimension::Endpoint, ScopeDimension::Address];
    let options = SearchOptions { subjects, ..options() };
    for seed in 0..300 {
        for limiter in [Limiter::Bucket(25.0, 5.0), Limiter::FromFirst(20.0, 1.0)] {
            let mut world = World::new(limiter, 2_000_000, seed);
            world.is_shared = true;
            let finding = run(&mut world, &options);
            let separate = finding.scope.values().filter(|one| **one == LimitScope::Separate);
            assert_eq!(separate.count(), 0, "seed {seed} {limiter:?}: {finding:?}");
        }
    }
}

#[test]
fn headers_of_the_first_response_and_of_the_first_refusal_are_kept() {
    let mut world = World::new(Limiter::Bucket(20.0, 10.0), 1_000_000, 3);
    let limit = AdvertisedLimit { header: "RateLimit", requests: 100.0, window: Some(1.0) };
    world.headers = Advertised { limits: vec![limit], ..Advertised::default() };
    let finding = run(&mut world, &options());
    assert_eq!(finding.first_headers, world.headers);
    assert_eq!(finding.refusal_headers, world.headers);
    assert_eq!(finding.refusal, Some(429));
}
