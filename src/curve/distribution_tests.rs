//! Every distribution against its closed forms.

use super::*;
use crate::seed::{Seed, Stream};

/// Every distribution, unclamped and clamped, as a user would write it.
const DISTRIBUTIONS: [&str; 27] = [
    "5ms",
    "uniform:1ms,5ms",
    "uniform:1ms,5ms,min=2ms,max=4ms",
    "normal:5ms,1ms",
    "normal:1ms,2ms",
    "normal:5ms,2ms,min=4ms,max=7ms",
    "exponential:5ms",
    "exponential:5ms,min=1ms,max=12ms",
    "lognormal:5ms,0.5",
    "lognormal:5ms,0.5,min=4ms,max=9ms",
    "bimodal:1ms,50ms,5%",
    "bimodal:50ms,1ms,5%",
    "bimodal:1ms,50ms,5%,max=20ms",
    "pareto:2ms,3.5",
    "pareto:2ms,3,min=3ms,max=20ms",
    "pareto:2ms,1,max=50ms",
    "pareto:2ms,0.5,max=50ms",
    "pareto:2ms,1.5,min=1ms,max=100ms",
    "gamma:5ms,2",
    "gamma:5ms,0.5",
    "gamma:5ms,30",
    "gamma:5ms,2,min=2ms,max=9ms",
    "weibull:5ms,1.5",
    "weibull:5ms,0.7",
    "weibull:5ms,0.7,min=1ms,max=12ms",
    "weibull:5ms,3,max=5ms",
    "gamma:5ms,2,max=1ms",
];

fn samples(distribution: &Distribution) -> Vec<Duration> {
    let mut rng = Seed::new(7).unwrap().rng(Stream::World, 0, 0);
    let mut samples: Vec<_> = (0..200_000).map(|_| distribution.sample(&mut rng)).collect();
    samples.sort_unstable();
    samples
}

#[test]
fn draws_match_the_closed_forms() {
    for text in DISTRIBUTIONS {
        let distribution = Distribution::parse_compact(text).unwrap();
        let samples = samples(&distribution);
        let sum: f64 = samples.iter().map(|&s| ns(s)).sum();
        let mean = sum / samples.len() as f64;
        let expected = ns(distribution.mean());
        // 200 000 draws: 1 % is more than four standard errors of each of these means.
        assert!((mean / expected - 1.0).abs() < 0.01, "{text}: mean {mean} for {expected}");
        for p in [0.1, 0.5, 0.9, 0.94, 0.99] {
            let seen = ns(samples[(p * samples.len() as f64) as usize]);
            let expected = ns(distribution.quantile(p));
            assert!(
                (seen - expected).abs() <= 0.02 * expected + 20_000.0,
                "{text}: p{p} {seen} for {expected}"
            );
        }
    }
}

#[test]
fn means_and_quantiles_match_known_values() {
    let ms = |text: &str| ns(Distribution::parse_compact(text).unwrap().mean()) / 1e6;
    for (text, mean) in [
        ("uniform:1ms,5ms", 3.0),
        ("uniform:2ms,4ms,min=5ms", 5.0),
        ("uniform:2ms,4ms,max=1ms", 1.0),
        ("exponential:5ms", 5.0),
        ("exponential:5ms,max=5ms", 5.0 * (1.0 - (-1.0f64).exp())),
        ("lognormal:5ms,0.5", 5.0 * 0.125f64.exp()),
        ("normal:5ms,0ms", 5.0),
        ("normal:0ms,1ms", 1.0 / std::f64::consts::TAU.sqrt()),
        ("bimodal:1ms,50ms,5%", 3.45),
    ] {
        assert!((ms(text) - mean).abs() < 1e-5, "{text}: {} for {mean}", ms(text));
    }
    let exponential = Distribution::parse_compact("exponential:10ms").unwrap();
    assert_eq!(exponential.quantile(0.5).as_nanos(), 6_931_472);
    assert_eq!(exponential.quantile(0.0), Duration::ZERO);
}

#[test]
fn empirical_distribution_draws_measured_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a, b.csv");
    // 1, 4, 9, …, 10 000: as far from uniform as from any other distribution.
    let rows: Vec<String> = (1..=100).map(|n| format!("{n},{}", n * n)).collect();
    std::fs::write(&path, format!("n,us\n{}\n", rows.join("\n"))).unwrap();
    for cut in ["", ",min=1ms,max=8ms"] {
        let text = format!("empirical:{},us,unit=us{cut}", path.display());
        let kind = Distribution::parse_compact(&text).unwrap();
        assert_eq!(kind.to_string(), text);
        let samples = samples(&kind);
        let mean = samples.iter().map(|&s| ns(s)).sum::<f64>() / samples.len() as f64;
        assert!((mean / ns(kind.mean()) - 1.0).abs() < 0.01, "{mean} for {:?}", kind.mean());
        for p in [0.1, 0.5, 0.9, 0.99] {
            let (seen, expected) =
                (ns(samples[(p * samples.len() as f64) as usize]), ns(kind.quantile(p)));
            assert!((seen - expected).abs() <= 0.02 * expected, "p{p} {seen} for {expected}");
        }
    }
    // The middle of 100 values lies between the 50th and the 51st.
    let plain = format!("empirical:{},us,unit=us", path.display());
    let kind = Distribution::parse_compact(&plain).unwrap();
    assert_eq!(kind.quantile(0.5), Duration::from_nanos(2_550_500));
}
