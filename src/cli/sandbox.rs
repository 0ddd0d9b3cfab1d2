//! `--sandbox`: the rules of a run's sandbox, from its plan and its command line.
//!
//! `execute` and `agent` enter it before they start threads.
//! Invariant: it opens the files that the scenario was compiled from, the folders of outputs, what
//! the system's look-ups and certificates need, and the ports of targets and receivers.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::CommonArgs;
use crate::control::registry;
use crate::fleet::cache_stores;
#[cfg(feature = "redis")]
use crate::plan::allowed_targets::AllowedTarget;
use crate::plan::{Address, Plan};
use crate::run::MonitorSource;
use crate::sandbox::{SandboxError, SandboxInfo, SandboxLevel, SandboxRules, port_of};
use crate::sinks::folder::make_folder_of;
#[cfg(feature = "web")]
use crate::sinks::web;

/// DNS over TCP, which long responses need.
const DNS: u16 = 53;

/// What every process needs to read: about itself and the machine, for look-ups of names, for
/// certificates, and its libraries.
const SYSTEM: [&str; 30] = [
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/usr/share/terminfo",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
];

/// Folders with the dynamic linker, which worker processes are started by.
const LINKERS: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// Variables that name files of certificates.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What a run needs beside its command line.
#[derive(Clone, Copy)]
pub(super) struct SandboxNeeds<'a> {
    pub(super) plan: &'a Plan,
    /// The addresses of its services, those of started built-in targets among them.
    pub(super) addresses: &'a [Address],
    pub(super) monitors: &'a [MonitorSource],
    /// The files that the plan was compiled from.
    pub(super) read: &'a [PathBuf],
    /// The folder of the report.
    pub(super) folder: Option<&'a Path>,
    /// The port of the bus of a fleet.
    pub(super) bus: Option<u16>,
    /// Whether the run is written to a history.
    #[cfg(feature = "history")]
    pub(super) has_history: bool,
}

/// Enters the sandbox of a run.
///
/// # Errors
/// If the kernel cannot enforce it.
pub(super) fn enter(
    level: SandboxLevel,
    needs: &SandboxNeeds<'_>,
    common: &CommonArgs,
) -> Result<SandboxInfo, SandboxError> {
    let mut rules = system();
    needs.read.iter().for_each(|path| rules.read(path));
    workers(&mut rules);
    targets(&mut rules, needs.plan, needs.addresses);
    caches(&mut rules, needs.plan);
    needs.bus.iter().for_each(|port| rules.connect(*port));
    for monitor in needs.monitors {
        if let MonitorSource::Prometheus { url, .. } = monitor {
            port_of(url).iter().for_each(|port| rules.connect(*port));
        }
    }
    outputs(&mut rules, common, needs);
    rules.enforce(level)
}

/// What every process needs.
pub(super) fn system() -> SandboxRules {
    let mut rules = SandboxRules::default();
    SYSTEM.iter().for_each(|path| rules.read(*path));
    let named = CERTIFICATES.iter().filter_map(std::env::var_os);
    named.filter(|path| !path.is_empty()).for_each(|path| rules.read(path));
    ["/dev/null", "/dev/tty"].iter().for_each(|path| rules.write(*path));
    rules.connect(DNS);
    // A port that the kernel chooses, also for the local addresses of connections.
    rules.listen(0);
    rules
}

/// The ports, and sockets, of a plan's targets.
pub(super) fn targets(rules: &mut SandboxRules, plan: &Plan, addresses: &[Address]) {
    for (service, address) in plan.services.iter().zip(addresses) {
        let transport = &service.transport;
        if let Some(path) = &transport.unix {
            rules.write(path);
            continue;
        }
        rules.connect(match (&transport.proxy, &transport.connect_to) {
            (Some(proxy), _) => proxy.port,
            (None, Some((_, port))) => *port,
            (None, None) => address.port,
        });
        if transport.proxy.is_none() {
            transport.bootstrap.iter().for_each(|(_, port)| rules.connect(*port));
        }
    }
}

/// The ports of the servers of caches, and their files.
fn caches(rules: &mut SandboxRules, plan: &Plan) {
    let (ports, files) = cache_stores::places(plan);
    ports.iter().for_each(|port| rules.connect(*port));
    for path in files {
        path.parent().into_iter().for_each(|folder| drop(fs::create_dir_all(folder)));
        rules.write_file(&path);
    }
}

/// Worker processes are this program.
fn workers(rules: &mut SandboxRules) {
    rules.execute("/proc/self/exe");
    for folder in LINKERS {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let is_linker = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-"))
        };
        entries.map(|entry| entry.path()).filter(is_linker).for_each(|path| rules.execute(path));
    }
}

/// What a run writes, and whom it sends results to.
fn outputs(rules: &mut SandboxRules, common: &CommonArgs, needs: &SandboxNeeds<'_>) {
    needs.folder.iter().for_each(|folder| rules.write(*folder));
    let reports = common.output.report.iter().filter_map(|report| report.path.as_deref());
    let files = common.calls.files();
    let files = files.iter().map(|(_, path)| *path);
    reports.chain(files).for_each(|path| {
        // What cannot be created is reported when the file is opened.
        drop(make_folder_of(path));
        rules.write_file(path);
    });
    #[cfg(feature = "history")]
    if needs.has_history {
        history(rules, &common.history);
    }
    if !common.no_control {
        let folder = registry::folder();
        // It is made again when the run opens its socket, which reports a failure.
        drop(registry::ensure_private(&folder));
        rules.write(folder);
    }
    #[cfg(feature = "web")]
    if let Some(place) = common.web {
        rules.listen(place.unwrap_or(web::PLACE).port());
    }
    let (connect, listen) = common.metrics.ports();
    connect.iter().for_each(|port| rules.connect(*port));
    listen.iter().for_each(|port| rules.listen(*port));
}

/// The folder of the history, or the ports of its server.
#[cfg(feature = "history")]
fn history(rules: &mut SandboxRules, args: &super::history_args::HistoryArgs) {
    use crate::store::StorePlace;
    // A place that is wrong is reported when the run is written to it.
    match super::history_args::find_place(args.history.as_ref()) {
        Ok(Some(StorePlace::File(path))) => {
            path.parent().into_iter().for_each(|folder| drop(fs::create_dir_all(folder)));
            rules.write_file(&path);
        }
        #[cfg(feature = "postgres")]
        Ok(Some(place @ StorePlace::Postgres(_))) => {
            place.ports().iter().for_each(|port| rules.connect(*port));
        }
        Ok(None) | Err(_) => {}
    }
}

/// The sandbox of an agent, which knows its plan only after it has entered.
#[cfg(feature = "redis")]
#[derive(Debug)]
pub(super) struct AgentSandbox {
    level: SandboxLevel,
    /// The rules for a plan without targets.
    rules: SandboxRules,
}

#[cfg(feature = "redis")]
impl AgentSandbox {
    /// Enters the sandbox: with the files that an agent needs, the bus, and the ports that `allow`
    /// names, if all of its entries have one.
    ///
    /// # Errors
    /// If the kernel cannot enforce it.
    pub(super) fn enter<'a>(
        level: SandboxLevel,
        bus: u16,
        (read, written): (impl Iterator<Item = &'a Path>, Option<&Path>),
        allow: &[AllowedTarget],
    ) -> Result<Self, SandboxError> {
        let mut rules = system();
        read.for_each(|path| rules.read(path));
        written.into_iter().for_each(|folder| rules.write(folder));
        // The scenario's files are unpacked there.
        rules.write(std::env::temp_dir());
        rules.connect(bus);
        let mut first = rules.clone();
        for target in allow {
            match (target.socket(), target.port()) {
                (Some(path), _) => {
                    first.write(path);
                    rules.write(path);
                }
                (None, Some(port)) => first.connect(port),
                (None, None) => first.connect_to_any(),
            }
        }
        if allow.is_empty() {
            first.connect_to_any();
        }
        first.enforce(level)?;
        Ok(Self { level, rules })
    }

    /// Narrows it to the targets of a plan, for this thread and those that it starts.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn narrow(
        &self,
        plan: &Plan,
        addresses: &[Address],
    ) -> Result<SandboxInfo, SandboxError> {
        let mut rules = self.rules.clone();
        targets(&mut rules, plan, addresses);
        rules.enforce(self.level)
    }
}
