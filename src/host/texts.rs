//! Parses texts of /proc and /sys.
//!
//! `facts` and `usage` read the files and pass their texts.
//! Invariant: pure functions of a text; a text in an unknown format is `None`.

/// Parses two numbers, as in `ip_local_port_range`.
pub(super) fn pair(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next()?, numbers.next()?, numbers.next()) {
        (Ok(a), Ok(b), None) => Some((a, b)),
        _ => None,
    }
}

/// Parses a line of `meminfo`, in bytes.
pub(super) fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

/// Parses the byte limit of a control group; `max`, or more than any machine has, is no limit.
pub(super) fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

/// Parses `cpu.max`: quota and period in µs, as cores; `max` or a negative quota is no limit.
pub(super) fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = pair(text)?;
    (period > 0).then(|| quota as f64 / period as f64)
}

/// Returns this process's path in the hierarchy of a controller, from `/proc/self/cgroup`; the
/// unified hierarchy has no name.
pub(super) fn control_group(text: &str, controller: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        names.split(',').any(|name| name == controller).then(|| path.to_owned())
    })
}

/// Parses the ticks of CPU time (user, system), the threads and the pages of `/proc/PID/stat`. Its
/// second field is a name in parentheses that may contain anything.
pub(super) fn stat(text: &str) -> Option<([u64; 2], u64, u64)> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    // Counted from the third field: proc(5) has utime, stime, num_threads, rss as 14, 15, 20, 24.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(([number(14)?, number(15)?], number(20)?, number(24)?))
}

/// Parses all time, idle time and stolen time of `/proc/stat`, over all cores.
pub(super) fn cpu_line(text: &str) -> Option<[u64; 3]> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line.split_ascii_whitespace().map_while(|t| t.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are included in user.
    let all = times.get(..8)?.iter().sum();
    Some([all, times[3] + times[4], times[7]])
}

/// Parses the number after a key at the beginning of a line.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

/// Parses a list of cores such as `0-3,8`.
pub(super) fn list(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.trim().split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high): (usize, usize) = (low.parse().ok()?, high.parse().ok()?);
        if high.checked_sub(low)? > 4_096 {
            return None;
        }
        cores.extend(low..=high);
    }
    Some(cores)
}

/// Parses the version of `Linux 6.1.0-18-amd64`.
pub(super) fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(' ').nth(1)?.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_position() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 100 20 0 0 20 0 5 0 999 4096 77 18";
        assert_eq!(stat(text), Some(([100, 20], 5, 77)));
        assert_eq!(stat("7 a S 1"), None);
        let text = "cpu  10 1 5 100 4 2 3 7 0 0\ncpu0 1 1";
        assert_eq!(cpu_line(text), Some([132, 104, 7]));
        assert_eq!(cpu_line("cpu0 1 2 3"), None);
        let text = "nr_throttled_x 9\nnr_throttled 3\nthrottled_usec 12\n";
        assert_eq!((keyed(text, "nr_throttled"), keyed(text, "none")), (Some(3), None));
    }

    #[test]
    fn kernel_texts_are_parsed() {
        assert_eq!(pair("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!((pair("1"), pair("1 2 3"), pair("a b")), (None, None, None));
        let meminfo = "MemTotal:        8039472 kB\nMemFree: 12 kB\nMemAvailable:    100 kB\n";
        assert_eq!(kib(meminfo, "MemTotal:"), Some(8_039_472 * 1_024));
        assert_eq!(kib(meminfo, "MemAvailable:"), Some(102_400));
        assert_eq!(kib(meminfo, "SwapTotal:"), None);
        assert_eq!((bytes("max\n"), bytes("1048576\n")), (None, Some(1 << 20)));
        // What version 1 writes if there is no limit.
        assert_eq!(bytes("9223372036854771712"), None);
        assert_eq!((cpu_max("max 100000"), cpu_max("150000 100000")), (None, Some(1.5)));
        assert_eq!((cpu_max("-1 100000"), cpu_max("1 0")), (None, None));
        let groups = "5:cpu,cpuacct:/a\n4:memory:/b:c\n1:name=x:/y\n0::/user.slice\n";
        for (controller, path) in [
            ("", Some("/user.slice")),
            ("memory", Some("/b:c")),
            ("cpu", Some("/a")),
            ("cpuacct", Some("/a")),
            ("pids", None),
        ] {
            assert_eq!(control_group(groups, controller).as_deref(), path, "{controller:?}");
        }
        assert_eq!(control_group("1:cpu:/y\n", ""), None);
        assert_eq!(list("0-2,8\n"), Some(vec![0, 1, 2, 8]));
        assert_eq!((list("3-1"), list("0-99999"), list("x")), (None, None, None));
        assert_eq!(release("Linux 6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!((release("Linux 4.19"), release("odd")), (Some((4, 19)), None));
    }
}
