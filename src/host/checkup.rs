//! What the facts of a machine mean for load tests, and how to change them.
//!
//! `cli doctor` calls it, `report` shows it.
//! Invariant: a pure function of the facts; each warning has a command or an action that fixes it.

use std::fmt::Write;

use super::MachineFacts;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked, such as `descriptors`.
    pub name: &'static str,
    /// Value of the finding.
    pub value: String,
    /// Whether the finding needs no change.
    pub ok: bool,
    /// What the value means for a load test.
    pub means: String,
    /// The command that changes it; `None` if nothing needs to change.
    pub cure: Option<String>,
}

/// Memory of a user besides descriptors and ports: about 2.2 KB over HTTP/1.1.
const USER_BYTES: u64 = 2_240;

/// Fewer descriptors or ports than this limit ordinary tests.
const MANY: u64 = 20_000;

/// Checks all facts.
pub fn checkup(facts: &MachineFacts) -> Vec<Finding> {
    let all = [
        descriptors(facts),
        ports(facts),
        tw_reuse(facts),
        backlog(facts),
        Some(cores(facts)),
        quota(facts),
        governor(facts),
        memory(facts),
        clock(facts),
        slack(facts),
        Some(kernel(facts)),
    ];
    all.into_iter().flatten().collect()
}

fn finding(name: &'static str, value: String, ok: bool, means: String, cure: &str) -> Finding {
    let cure = (!ok && !cure.is_empty()).then(|| cure.to_owned());
    Finding { name, value, ok, means, cure }
}

fn count(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() }
}

fn descriptors(facts: &MachineFacts) -> Option<Finding> {
    let (soft, hard) = facts.descriptors?;
    let users = hard.saturating_sub(64);
    let most = facts.nr_open.unwrap_or(1 << 20);
    let cure = format!(
        "echo '* hard nofile {most}' | sudo tee /etc/security/limits.d/90-manada.conf, then log \
         in again (or `sudo prlimit --pid $$ --nofile={most}` for this shell)"
    );
    let means = format!(
        "about {} users with one connection each, or held streams, in a process; Manada raises the \
         soft limit itself, and starts more processes if a load needs them",
        count(users)
    );
    let value = format!("soft {}, hard {}", count(soft), count(hard));
    Some(finding("descriptors", value, hard >= MANY, means, &cure))
}

fn ports(facts: &MachineFacts) -> Option<Finding> {
    let (low, high) = facts.ports?;
    let ports = facts.ports()?;
    let scope = if facts.bind_no_port == Some(false) {
        "; local addresses in `source` use extra ports (no IP_BIND_ADDRESS_NO_PORT)"
    } else {
        "; more with several addresses in `source`"
    };
    let means = format!(
        "about {ports} concurrent connections or streams to one address of a target{scope}"
    );
    let cure = "sudo sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"";
    Some(finding("local ports", format!("{low} to {high}"), ports >= MANY, means, cure))
}

fn tw_reuse(facts: &MachineFacts) -> Option<Finding> {
    let value = facts.tw_reuse?;
    let shown = match value {
        0 => "0 (off)",
        1 => "1 (on)",
        _ => "2 (loopback only)",
    };
    let rate = facts.ports().unwrap_or_default() / 60;
    let means = match value {
        1 => "ports of closed connections are reused after 1 s".to_owned(),
        _ => format!(
            "about {rate} new connections per second to one other machine, sustained; reused \
             connections do not count"
        ),
    };
    // This is Linux's own default, and no limit for users that keep their connections.
    let cure = "sudo sysctl -w net.ipv4.tcp_tw_reuse=1";
    Some(finding("tcp_tw_reuse", shown.to_owned(), value != 0, means, cure))
}

fn backlog(facts: &MachineFacts) -> Option<Finding> {
    let value = facts.somaxconn?;
    let syn = facts.syn_backlog.map_or(String::new(), |syn| format!(", half-open {syn}"));
    let means = format!(
        "a target on this machine accepts about {value} new connections in one burst; further \
         ones retry after 1 s"
    );
    let cure = "sudo sysctl -w net.core.somaxconn=4096";
    Some(finding("backlog", format!("somaxconn {value}{syn}"), value >= 1_024, means, cure))
}

fn cores(facts: &MachineFacts) -> Finding {
    let count = facts.cores.len();
    let shared = facts.siblings.iter().map(|group| {
        let cores: Vec<String> = group.iter().map(usize::to_string).collect();
        cores.join("+")
    });
    let shared: Vec<String> = shared.collect();
    let mut means = format!("up to {count} shards, {} with a local target", (count / 2).max(1));
    if !shared.is_empty() {
        let _ = write!(means, "; hardware threads of one core: {}", shared.join(", "));
    }
    let cure = "if the machine has more cores: `taskset -c 0,1 manada …`";
    finding("cores", count.to_string(), count >= 2, means, cure)
}

fn quota(facts: &MachineFacts) -> Option<Finding> {
    let quota = facts.cpu_quota?;
    let ok = quota >= facts.cores.len() as f64;
    let means = if ok {
        "the control group does not limit CPU time".to_owned()
    } else {
        "when the quota is used up, the kernel stops all shards: lag of up to 100 ms".to_owned()
    };
    let cure = "raise `cpu.max` of the control group (docker run --cpus, limits.cpu in a pod)";
    Some(finding("cpu quota", format!("{quota:.2} cores"), ok, means, cure))
}

fn governor(facts: &MachineFacts) -> Option<Finding> {
    let governor = facts.governor.clone()?;
    let ok = governor == "performance" || governor == "schedutil";
    let means = if ok {
        "cores run at full speed".to_owned()
    } else {
        "idle cores are slow: latencies of a light load look longer".to_owned()
    };
    let cure = "sudo cpupower frequency-set -g performance";
    Some(finding("governor", governor, ok, means, cure))
}

fn memory(facts: &MachineFacts) -> Option<Finding> {
    let (total, free) = facts.memory?;
    let room = facts.memory_quota.map_or(free, |quota| quota.min(free));
    let mib = |bytes: u64| bytes >> 20;
    let mut value = format!("{} MiB, {} MiB free", mib(total), mib(free));
    if let Some(quota) = facts.memory_quota {
        let _ = write!(value, ", limit {} MiB", mib(quota));
    }
    let users = room / USER_BYTES;
    let means = format!("about {users} users over HTTP/1.1, {} over HTTP/2 or TLS", users / 16);
    let cure = "close other programs, or raise `memory.max` of the control group";
    Some(finding("memory", value, users >= MANY, means, cure))
}

fn clock(facts: &MachineFacts) -> Option<Finding> {
    let source = facts.clock_source.clone()?;
    let fast = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
    let ok = fast.contains(&source.as_str());
    let means = if ok {
        "reading the time takes about 20 ns".to_owned()
    } else {
        "reading the time is a system call: about 10 % fewer requests per core".to_owned()
    };
    let cure = "echo tsc | sudo tee \
                /sys/devices/system/clocksource/clocksource0/current_clocksource";
    Some(finding("clock", source, ok, means, cure))
}

fn slack(facts: &MachineFacts) -> Option<Finding> {
    let slack_ns = facts.timer_slack_ns?;
    let ok = slack_ns <= 50_000;
    let means =
        "timers can be late by this much; response times still count from the due time".to_owned();
    let cure = "echo 50000 | sudo tee /proc/$$/timerslack_ns";
    Some(finding("timer slack", format!("{} µs", slack_ns / 1_000), ok, means, cure))
}

fn kernel(facts: &MachineFacts) -> Finding {
    let ok = facts.bind_no_port != Some(false);
    let means = match facts.bind_no_port {
        Some(true) => "IP_BIND_ADDRESS_NO_PORT is supported: local addresses share ports",
        Some(false) => "older than 4.2: local addresses in `source` use extra ports",
        None => "the version cannot be read",
    };
    finding("kernel", facts.kernel.clone(), ok, means.to_owned(), "use Linux 4.2 or later")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> MachineFacts {
        MachineFacts {
            kernel: "Linux 6.1.0".to_owned(),
            descriptors: Some((1_024, 1_048_576)),
            nr_open: Some(1_048_576),
            ports: Some((32_768, 60_999)),
            tw_reuse: Some(2),
            somaxconn: Some(4_096),
            syn_backlog: Some(512),
            cores: vec![0, 1, 2, 3],
            siblings: vec![vec![0, 1], vec![2, 3]],
            cpu_quota: None,
            governor: Some("performance".to_owned()),
            memory: Some((8 << 30, 4 << 30)),
            memory_quota: None,
            clock_source: Some("tsc".to_owned()),
            timer_slack_ns: Some(50_000),
            bind_no_port: Some(true),
        }
    }

    #[test]
    fn good_machine_needs_no_change() {
        let found = checkup(&good());
        assert!(found.iter().all(|one| one.ok && one.cure.is_none()), "{found:#?}");
        let of = |name| found.iter().find(|one| one.name == name).unwrap();
        assert!(of("descriptors").means.starts_with("about 1048512 users"));
        assert!(of("local ports").means.starts_with("about 28232 concurrent connections"));
        assert!(of("cores").means.contains("up to 4 shards, 2 with a local"));
        assert!(of("cores").means.ends_with("0+1, 2+3"));
    }

    #[test]
    fn each_bad_fact_has_a_fix() {
        for (name, facts) in [
            ("descriptors", MachineFacts { descriptors: Some((256, 4_096)), ..good() }),
            ("local ports", MachineFacts { ports: Some((50_000, 60_000)), ..good() }),
            ("tcp_tw_reuse", MachineFacts { tw_reuse: Some(0), ..good() }),
            ("backlog", MachineFacts { somaxconn: Some(128), ..good() }),
            ("cores", MachineFacts { cores: vec![0], ..good() }),
            ("cpu quota", MachineFacts { cpu_quota: Some(0.5), ..good() }),
            ("governor", MachineFacts { governor: Some("powersave".to_owned()), ..good() }),
            ("memory", MachineFacts { memory_quota: Some(32 << 20), ..good() }),
            ("clock", MachineFacts { clock_source: Some("hpet".to_owned()), ..good() }),
            ("timer slack", MachineFacts { timer_slack_ns: Some(10_000_000), ..good() }),
            ("kernel", MachineFacts { bind_no_port: Some(false), ..good() }),
        ] {
            let found = checkup(&facts);
            let bad: Vec<&Finding> = found.iter().filter(|one| !one.ok).collect();
            assert!(bad.len() == 1 && bad[0].name == name, "{name}: {bad:#?}");
            assert!(bad[0].cure.is_some(), "{name}");
        }
    }

    #[test]
    fn unreadable_facts_are_left_out() {
        let names: Vec<&str> =
            checkup(&MachineFacts::default()).iter().map(|one| one.name).collect();
        assert_eq!(names, ["cores", "kernel"]);
    }
}
