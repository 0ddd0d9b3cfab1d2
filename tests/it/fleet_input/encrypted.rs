//! An encrypted bus whose certificate, or whose clients' certificates, do not fit: what `run` and
//! `agent` say, and a run over one that fits.

use std::fs;

use rcgen::{SanType, date_time_ymd};

use super::*;
use crate::fleet_bus::access::{certificate_with, encrypted};
use crate::harness::count;
use crate::tls::authority;

/// The words that name these files, as options of a bus.
fn words<'w>(bus: &'w str, ca: Option<&'w str>, own: Option<&'w [String; 2]>) -> Vec<&'w str> {
    let mut words = vec!["--bus", bus];
    ca.into_iter().for_each(|ca| words.extend(["--bus-ca", ca]));
    own.into_iter().for_each(|[cert, key]| words.extend(["--bus-cert", cert, "--bus-key", key]));
    words
}

#[test]
fn certificates_that_do_not_fit_are_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (own, strange) = (authority(), authority());
    let [ca, strange_ca] =
        [("ca.crt", &own), ("strange.crt", &strange)].map(|(name, authority)| {
            let path = folder.path().join(name);
            fs::write(&path, authority.pem()).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let server = |name: &str, change: &dyn Fn(&mut rcgen::CertificateParams)| {
        certificate_with(&own, folder.path(), name, change)
    };
    let redis_of = |[cert, key]: &[String; 2], is_mutual| {
        let redis = encrypted(&[cert, key, &ca], is_mutual);
        let url = format!("rediss://{}", redis.address);
        (redis, url)
    };
    let fits = server("fits", &|_| {});
    let (_redis, url) = redis_of(&fits, false);
    let unknown = ["no encrypted connection to the bus at rediss://127.0.0.1", "--bus-ca"];
    assert_unusable(&words(&url, None, None), &[], 1, &unknown);
    assert_unusable(&words(&url, Some(&strange_ca), None), &[], 1, &unknown);
    let plain = url.replace("rediss", "redis");
    assert_unusable(&words(&plain, None, None), &[], 1, &["rediss:// is"]);
    let expired = server("expired", &|params| params.not_after = date_time_ymd(2001, 1, 1));
    let (_redis, url) = redis_of(&expired, false);
    let parts = ["expired", "check the names and dates of its certificate"];
    assert_unusable(&words(&url, Some(&ca), None), &[], 1, &parts);
    let other = server("other", &|params| {
        params.subject_alt_names = vec![SanType::DnsName("bus.example".try_into().unwrap())];
    });
    let (_redis, url) = redis_of(&other, false);
    let parts = ["not valid for name", "bus.example", "check the names and dates"];
    assert_unusable(&words(&url, Some(&ca), None), &[], 1, &parts);
    // The server demands a certificate of its clients.
    let (redis, url) = redis_of(&fits, true);
    let parts = ["requires a client certificate: --bus-cert and --bus-key"];
    assert_unusable(&words(&url, Some(&ca), None), &[], 1, &parts);
    let foreign = certificate_with(&strange, folder.path(), "foreign", |_| {});
    let parts = ["it may not accept the client certificate"];
    assert_unusable(&words(&url, Some(&ca), Some(&foreign)), &[], 1, &parts);
    let parts = ["no-such.pem", "in PEM"];
    assert_unusable(&words(&url, Some("no-such.pem"), None), &[], 2, &parts);
    // A run over it.
    let client = certificate_with(&own, folder.path(), "client", |_| {});
    let target = Builtin::start(&[]);
    let bus = words(&url, Some(&ca), Some(&client));
    let run = ["--agents", "1", "--run", "r1", "--join-timeout", "20s"];
    let scenario = scenario(&format!("\"{}\"", target.url("")));
    let coordinator = Manada::telling(&scenario, &run).words(&bus).start();
    let agent = Manada::new(&["agent", "--run", "r1"]).words(&bus).go();
    assert_end(&agent, 0, &["the coordinator has everything"]);
    assert_eq!(count(&coordinator.wait().report(0), "calls.made"), 20);
    target.end();
    drop(redis);
}
