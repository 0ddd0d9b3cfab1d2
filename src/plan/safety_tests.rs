//! Tables of allowed and refused hosts, addresses and requests.

use super::*;

fn hosts(list: &[&str]) -> Vec<HostPattern> {
    list.iter().map(|text| HostPattern::parse(text).unwrap_or_else(|| panic!("{text}"))).collect()
}

fn safety(allowed: &[&str], authorised: &[&str], is_trial: bool) -> Safety {
    let lists = if allowed.is_empty() { vec![] } else { vec![(hosts(allowed), "f".to_owned())] };
    Safety { hosts: lists, authorised: hosts(authorised), is_trial, ..Safety::default() }
}

#[test]
fn host_patterns_match_names_and_networks() {
    for bad in ["", "a b", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "a/8", "http://x"] {
        assert_eq!(HostPattern::parse(bad), None, "{bad}");
    }
    for (pattern, name, ip, expect) in [
        ("*.staging.example", "api.staging.example", "10.0.0.1", true),
        ("*.staging.example", "API.Staging.Example.", "10.0.0.1", true),
        ("*.staging.example", "staging.example", "10.0.0.1", false),
        ("*.staging.example", "api.staging.example.evil.com", "10.0.0.1", false),
        ("10.0.0.0/8", "x", "10.255.0.1", true),
        ("10.0.0.0/8", "x", "::ffff:10.255.0.1", true),
        ("10.0.0.0/8", "x", "11.0.0.1", false),
        ("10.0.0.0/8", "10.x.evil", "9.9.9.9", false),
        ("0.0.0.0/0", "x", "9.9.9.9", true),
        ("::/0", "x", "fd00::1", true),
        ("fd00::/8", "x", "fd12::1", true),
        ("fd00::/8", "x", "fc12::1", false),
        ("127.0.0.1", "localhost", "127.0.0.1", true),
        ("127.0.0.1", "localhost", "127.0.0.2", false),
    ] {
        let refused = safety(&[pattern], &["*"], false).refusal(name, ip.parse().unwrap());
        assert_eq!(refused.is_none(), expect, "{pattern} {name} {ip}: {refused:?}");
    }
}

#[test]
fn public_host_needs_authorisation_and_metadata_service_is_refused() {
    for (name, ip, trial, authorised, expect) in [
        ("x", "127.0.0.1", false, &[][..], true),
        ("x", "10.0.0.1", false, &[], true),
        ("x.com", "8.8.8.8", false, &[], false),
        ("x.com", "8.8.8.8", true, &[], true),
        ("x.com", "8.8.8.8", false, &["x.com"], true),
        ("x.com", "8.8.8.8", false, &["8.8.8.0/24"], true),
        ("x.com", "8.8.8.8", false, &["y.com"], false),
        ("x.com", "169.254.169.254", true, &["*", "0.0.0.0/0"], false),
        ("metadata.google.internal", "10.0.0.1", true, &["*"], false),
    ] {
        let refused = safety(&[], authorised, trial).refusal(name, ip.parse().unwrap());
        assert_eq!(refused.is_none(), expect, "{name} {ip}: {refused:?}");
    }
    for (name, behind_proxy, authorised, expect) in [
        ("shop.com", false, &[][..], true),
        ("shop.com", true, &[], false),
        ("shop.com", true, &["*.com"], true),
        ("shop.test", true, &[], true),
        ("prod.shop.com", false, &[], false),
        ("prod.shop.com", false, &["prod.shop.com"], true),
        ("8.8.8.8", false, &[], false),
        ("localhost", true, &[], true),
        ("metadata.google.internal", true, &["*"], false),
    ] {
        let refused = safety(&[], authorised, false).refusal_by_name(name, behind_proxy);
        assert_eq!(refused.is_none(), expect, "{name}: {refused:?}");
    }
    // An allowed network leaves the decision to the look-up; without networks the name decides.
    let named =
        |list: &[&str]| safety(list, &[], false).refusal_by_name("shop.test", false).is_none();
    assert!(named(&["10.0.0.0/8"]) && named(&["shop.*"]) && !named(&["other.test"]));
}

#[test]
fn denied_paths_match_in_any_spelling() {
    let pattern_of = |text: &str| PathPattern::parse(text).unwrap();
    assert_eq!(PathPattern::parse("admin"), None);
    for (pattern, path, expect) in [
        ("/admin/*", "/admin/", true),
        ("/admin/*", "/admin", true),
        ("/admin/*", "/admin?x", true),
        ("/admin/*", "/admin/users/1?x=/y", true),
        ("/admin/*", "/administrator", false),
        ("/admin/*", "/x?to=/admin/", false),
        ("/admin/*", "//admin//x", true),
        ("/admin/*", "/%61dmin/x", true),
        ("/admin/*", "/a/../admin/x", true),
        ("/admin/*", "/admin/../x", false),
        ("/admin/*", "/%2e%2e/admin/x", true),
        ("*/delete", "/items/7/delete", true),
        ("*/delete", "/items/7/delete/x", false),
        ("/a*b*c", "/aXbYc", true),
        ("/a*b*c", "/aXbY", false),
        ("/*", "/anything", true),
        ("/", "/", true),
        ("/", "/x", false),
        ("/x", "/x%", false),
    ] {
        assert_eq!(pattern_of(pattern).matches(path), expect, "{pattern} {path}");
    }
}
