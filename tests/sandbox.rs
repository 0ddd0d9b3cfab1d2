//! What the kernel denies in a sandbox: each test enters one on a thread of its own, which the rest
//! of the process does not notice.
//!
//! They need a kernel with Landlock for TCP ports (Linux 6.7).

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use manada::sandbox::{SandboxError, SandboxInfo, SandboxLevel, SandboxRules, port_of};
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;

/// Runs `act` in a sandbox with these rules.
fn within<T: Send>(
    level: SandboxLevel,
    rules: &SandboxRules,
    act: impl FnOnce(SandboxInfo) -> T + Send,
) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| act(rules.enforce(level).unwrap()));
        thread.join().unwrap()
    })
}

#[track_caller]
fn denied<T>(done: io::Result<T>) {
    assert_eq!(done.map(drop).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

/// A folder with the files `own/rows.csv` and `other/secret`.
fn folders() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for (folder, file) in [("own", "rows.csv"), ("other", "secret")] {
        fs::create_dir(place.path().join(folder)).unwrap();
        fs::write(place.path().join(folder).join(file), "text").unwrap();
    }
    place
}

#[test]
fn files_outside_are_neither_read_nor_changed() {
    let place = folders();
    let at = |name: &str| place.path().join(name);
    symlink(at("other/secret"), at("own/link")).unwrap();
    let mut rules = SandboxRules::default();
    rules.read(at("own"));
    rules.read(at("missing"));
    within(SandboxLevel::Files, &rules, |info| {
        assert!(!info.has_ports && info.connect.is_empty(), "{info:?}");
        assert_eq!(fs::read_to_string(at("own/rows.csv")).unwrap(), "text");
        denied(fs::read_to_string(at("other/secret")));
        denied(fs::read_to_string(at("own/link")));
        denied(fs::read_dir(at("other")));
        // What may be read may not be written, renamed, removed or cut.
        denied(File::options().write(true).open(at("own/rows.csv")));
        denied(File::options().append(true).open(at("own/rows.csv")));
        denied(File::create(at("own/new")));
        denied(fs::create_dir(at("own/folder")));
        denied(fs::remove_file(at("own/rows.csv")));
        denied(fs::rename(at("own/rows.csv"), at("own/renamed")));
        denied(symlink(at("own"), at("other/link")));
    });
    assert_eq!(fs::read_to_string(at("other/secret")).unwrap(), "text");
    assert_eq!(fs::read_to_string(at("own/rows.csv")).unwrap(), "text");
}

#[test]
fn output_is_written_and_replaced_in_its_folder_alone() {
    let place = folders();
    let at = |name: &str| place.path().join(name);
    let mut rules = SandboxRules::default();
    rules.write(at("own"));
    // The folder of a file that does not exist yet; a device itself.
    fs::create_dir(at("reports")).unwrap();
    rules.write_file(&at("reports/junit.xml"));
    rules.write_file(Path::new("/dev/null"));
    within(SandboxLevel::Files, &rules, |_| {
        fs::write(at("own/.part"), "new").unwrap();
        fs::rename(at("own/.part"), at("own/rows.csv")).unwrap();
        fs::write(at("reports/junit.xml"), "new").unwrap();
        fs::write("/dev/null", "new").unwrap();
        denied(fs::write(at("other/secret"), "new"));
        denied(fs::write(at("new"), "new"));
        // Neither out of the folder nor into it.
        denied(fs::rename(at("own/rows.csv"), at("other/rows.csv")));
        denied(fs::rename(at("other/secret"), at("own/secret")));
        denied(File::open("/dev/zero"));
        // What was written cannot be executed.
        fs::copy("/bin/true", at("own/program")).unwrap_err();
        denied(Command::new("/bin/true").status());
    });
    assert_eq!(fs::read_to_string(at("own/rows.csv")).unwrap(), "new");
    assert!(!place.path().join("new").exists());
}

#[test]
fn other_ports_are_neither_connected_to_nor_listened_on() {
    let [allowed, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [allowed, other] = [&allowed, &other].map(|one| one.local_addr().unwrap());
    let mut rules = SandboxRules::default();
    rules.connect(allowed.port());
    rules.listen(0);
    within(SandboxLevel::All, &rules, |info| {
        assert!(info.has_ports, "{info:?}");
        assert_eq!(info.connect, [allowed.port()]);
        assert!(info.to_string().starts_with(&format!("files, TCP port {}", allowed.port())));
        TcpStream::connect(allowed).unwrap();
        denied(TcpStream::connect(other));
        TcpListener::bind("127.0.0.1:0").unwrap();
        denied(TcpListener::bind(allowed));
        // Threads that it starts are in it, too.
        std::thread::scope(|scope| {
            scope.spawn(|| denied(TcpStream::connect(other)));
        });
        // Another sandbox within can only narrow it.
        let mut wider = SandboxRules::default();
        wider.connect(other.port());
        wider.enforce(SandboxLevel::All).unwrap();
        denied(TcpStream::connect(other));
        denied(TcpStream::connect(allowed));
    });
    TcpStream::connect(other).unwrap();
    rules.connect_to_any();
    within(SandboxLevel::All, &rules, |info| {
        assert!(!info.has_ports, "{info:?}");
        TcpStream::connect(other).unwrap();
        denied(TcpListener::bind(allowed));
    });
}

#[test]
fn other_processes_are_out_of_reach_and_privileges_are_not_gained() {
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = Pid::from_child(&other);
    test_kill_process(pid).unwrap();
    let mut rules = SandboxRules::default();
    rules.read("/proc");
    within(SandboxLevel::Files, &rules, |info| {
        assert_eq!(test_kill_process(pid).is_err(), info.has_scopes);
        denied(File::open(format!("/proc/{}/mem", other.id())));
        let own = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(own.lines().any(|line| line == "NoNewPrivs:\t1"), "{own}");
    });
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn ports_of_urls_are_found_also_if_the_scheme_says_them() {
    for (url, port) in [
        ("http://127.0.0.1:9090/api", Some(9090)),
        ("https://user:word@shop.test/x?y=1:2", Some(443)),
        ("http://[::1]:81/", Some(81)),
        ("http://shop.test", Some(80)),
        ("udp://shop.test", None),
        ("no url", None),
    ] {
        assert_eq!(port_of(url), port, "{url}");
    }
}

#[test]
fn errors_say_what_to_do() {
    for (error, cure) in [
        (SandboxError::Missing, "run without --sandbox"),
        (SandboxError::NoPorts, "--sandbox=files"),
        (SandboxError::TooOld, "Linux 6.2"),
    ] {
        assert!(error.to_string().contains(cure), "{error}");
    }
    let many = SandboxInfo { has_ports: true, has_scopes: true, connect: (1..=100).collect() };
    assert_eq!(many.to_string(), "files, 100 TCP ports");
    let none = SandboxInfo { has_ports: true, ..SandboxInfo::default() };
    assert!(none.to_string().starts_with("files, no TCP port; signals and abstract"), "{none}");
}
