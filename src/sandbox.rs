//! The sandbox of a run: which files this process may read and write, and which TCP ports it may
//! connect to and listen on, enforced by the kernel (Landlock, Linux 6.7).
//!
//! `cli` collects the rules from the plan and the command line, and enforces them before threads
//! start.
//! Invariant: a rule only opens what it names. What the kernel cannot enforce is an error or is
//! named in [`SandboxInfo`], never left out silently.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, make_bitflags,
};

/// What has to be enforced of files: since Linux 6.2 also changes of a file's length.
const FILES: ABI = ABI::V3;
/// Ports of TCP: since Linux 6.7.
const PORTS: ABI = ABI::V4;
/// Requests to devices (6.10), signals and abstract Unix sockets (6.12), if the kernel has them.
const LATEST: ABI = ABI::V6;

/// Ports that are named in a text; of more, only their number.
const SHOWN_PORTS: usize = 12;

/// How much has to be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxLevel {
    /// Files and TCP ports.
    All,
    /// Files alone, for kernels before 6.7.
    Files,
}

/// What a process in the sandbox may do.
#[derive(Clone, Debug, Default)]
pub struct SandboxRules {
    read: BTreeSet<PathBuf>,
    execute: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
    connect: BTreeSet<u16>,
    listen: BTreeSet<u16>,
    has_any_port: bool,
}

/// What the kernel enforces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxInfo {
    /// Whether the TCP ports are limited.
    pub has_ports: bool,
    /// Whether signals and abstract Unix sockets of other processes are out of reach.
    pub has_scopes: bool,
    /// The TCP ports that may be connected to, in ascending order; empty without limit.
    pub connect: Vec<u16>,
}

/// Why the sandbox cannot be enforced.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel has no Landlock.
    #[error(
        "this kernel has no Landlock, which --sandbox needs: use Linux 6.7 or newer with \
         `landlock` in its list of security modules (/sys/kernel/security/lsm), or run without \
         --sandbox"
    )]
    Missing,
    /// The kernel cannot limit TCP ports.
    #[error(
        "this kernel cannot limit TCP ports, which --sandbox needs: use Linux 6.7 or newer, or \
         --sandbox=files, which limits files alone"
    )]
    NoPorts,
    /// The kernel cannot limit files completely.
    #[error(
        "this kernel cannot limit changes of files completely, which --sandbox needs: use Linux \
         6.2 or newer, 6.7 for TCP ports, or run without --sandbox"
    )]
    TooOld,
    /// A path of a rule cannot be opened.
    #[error("--sandbox: cannot open {}: {error}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system reports.
        error: io::Error,
    },
    /// The kernel refuses.
    #[error("--sandbox: the kernel refuses the rules: {0}")]
    Refused(String),
}

impl From<RulesetError> for SandboxError {
    fn from(error: RulesetError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl SandboxRules {
    /// Lets a file, or all files in a folder, be read. A path that does not exist is left out.
    pub fn read(&mut self, path: impl Into<PathBuf>) {
        self.read.insert(path.into());
    }

    /// Lets a file be read and executed.
    pub fn execute(&mut self, path: impl Into<PathBuf>) {
        self.execute.insert(path.into());
    }

    /// Lets all files in a folder, or one file, be read, written, made and removed. A path that
    /// does not exist is left out.
    pub fn write(&mut self, path: impl Into<PathBuf>) {
        self.write.insert(path.into());
    }

    /// Lets a file be written that may not exist yet, and is replaced by a rename: files of its
    /// folder may be written. If it is a device or a pipe, only itself.
    pub fn write_file(&mut self, path: &Path) {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if real.metadata().is_ok_and(|found| !found.is_file()) {
            return self.write(real);
        }
        let folder = real.parent().filter(|folder| !folder.as_os_str().is_empty());
        self.write(folder.unwrap_or(Path::new(".")));
    }

    /// Lets a TCP port be connected to.
    pub fn connect(&mut self, port: u16) {
        self.connect.insert(port);
    }

    /// Lets every TCP port be connected to.
    pub fn connect_to_any(&mut self) {
        self.has_any_port = true;
    }

    /// Lets a TCP port be listened on; 0: one that the kernel chooses.
    pub fn listen(&mut self, port: u16) {
        self.listen.insert(port);
    }

    /// The folders and files that may be written.
    pub fn written(&self) -> impl Iterator<Item = &Path> {
        self.write.iter().map(PathBuf::as_path)
    }

    /// Enforces the rules on the calling thread, on threads that it starts from now on, and on
    /// their processes. They also get no new privileges by executing a file.
    ///
    /// # Errors
    /// If the kernel cannot enforce what `level` requires. Then nothing is enforced.
    pub fn enforce(&self, level: SandboxLevel) -> Result<SandboxInfo, SandboxError> {
        let has_ports = level == SandboxLevel::All;
        check_kernel(has_ports)?;
        let limits_connect = has_ports && !self.has_any_port;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(FILES))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LATEST))?
            .scope(Scope::from_all(LATEST))?
            .set_compatibility(CompatLevel::HardRequirement);
        if has_ports {
            rules = rules.handle_access(AccessNet::BindTcp)?;
        }
        if limits_connect {
            rules = rules.handle_access(AccessNet::ConnectTcp)?;
        }
        let mut rules = rules.create()?.set_compatibility(CompatLevel::BestEffort);
        rules = self.add_paths(rules)?.set_compatibility(CompatLevel::HardRequirement);
        for port in self.listen.iter().filter(|_| has_ports) {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
        }
        for port in self.connect.iter().filter(|_| limits_connect) {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        let status = rules.restrict_self()?;
        if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
            return Err(SandboxError::Refused("it enforces nothing".to_owned()));
        }
        let connect = if limits_connect { self.connect.iter().copied().collect() } else { vec![] };
        Ok(SandboxInfo { has_ports: limits_connect, has_scopes: has_scopes(), connect })
    }

    fn add_paths(&self, mut rules: RulesetCreated) -> Result<RulesetCreated, SandboxError> {
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let execute = make_bitflags!(AccessFs::{ReadFile | Execute});
        // All but executing what was written.
        let write = AccessFs::from_all(LATEST) & !BitFlags::from(AccessFs::Execute);
        for (paths, access) in [(&self.read, read), (&self.execute, execute), (&self.write, write)]
        {
            for path in paths {
                let fd = match PathFd::new(path) {
                    Ok(fd) => fd,
                    Err(_) if !path.exists() => continue,
                    Err(error) => {
                        let error = io::Error::other(error);
                        return Err(SandboxError::Path { path: path.clone(), error });
                    }
                };
                let is_folder = path.is_dir();
                let access = if is_folder { access } else { access & AccessFs::from_file(LATEST) };
                rules = rules.add_rule(PathBeneath::new(fd, access))?;
            }
        }
        Ok(rules)
    }
}

/// The port of a URL, also of one that leaves it to the scheme; `None` if it has none.
pub fn port_of(url: &str) -> Option<u16> {
    let url: http::Uri = url.parse().ok()?;
    url.port_u16().or(match url.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}

/// Checks that the kernel can enforce what is required.
fn check_kernel(ports: bool) -> Result<(), SandboxError> {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if strict().handle_access(AccessFs::from_all(ABI::V1)).is_err() {
        return Err(SandboxError::Missing);
    }
    if strict().handle_access(AccessFs::from_all(FILES)).is_err() {
        return Err(SandboxError::TooOld);
    }
    if ports && strict().handle_access(AccessNet::from_all(PORTS)).is_err() {
        return Err(SandboxError::NoPorts);
    }
    Ok(())
}

/// Whether the kernel limits signals and abstract Unix sockets.
fn has_scopes() -> bool {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    strict.scope(Scope::from_all(LATEST)).is_ok()
}

impl fmt::Display for SandboxInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files")?;
        match (self.has_ports, self.connect.as_slice()) {
            (false, _) => f.write_str("; TCP ports are not limited")?,
            (true, []) => f.write_str(", no TCP port")?,
            (true, ports) if ports.len() > SHOWN_PORTS => {
                write!(f, ", {} TCP ports", ports.len())?;
            }
            (true, [port]) => write!(f, ", TCP port {port}")?,
            (true, ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                write!(f, ", TCP ports {}", ports.join(" "))?;
            }
        }
        if !self.has_scopes {
            f.write_str("; signals and abstract sockets are not limited (Linux before 6.12)")?;
        }
        Ok(())
    }
}
