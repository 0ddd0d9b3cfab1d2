//! `manada k8s render`: prints the objects of Kubernetes that run the agents of a run.
//!
//! Invariant: it connects to nothing; what it prints has names of Secrets, never their values.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::args;
use super::file_set::write_files;
use super::output::{finish, print_error, print_remark};
use crate::exit::ExitStatus;
use crate::kubernetes::{
    self, BusLocation, ClusterName, ClusterRun, Destination, ImageReference, ResourceQuantity,
    SecretVariable,
};

/// Maximum number of agents, as of `manada run`.
const MAX_AGENTS: i64 = 1024;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "manada k8s render --agents N --bus URL --run ID --image IMAGE [OPTIONS]"
)]
#[command(after_long_help = "\
Examples:
  manada k8s render --agents 5 --run a --image manada --bus rediss://10.0.0.9 --allow 10.1.0.0/16:80
  manada k8s render --agents 2 --run b --image manada --bus rediss://redis.example -o objects

Rendering is tested against the published schemas of Kubernetes; a run in a cluster is not.")]
pub(super) struct Args {
    /// What to do
    action: ClusterAction,
    /// Number of agents
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_AGENTS))]
    agents: u32,
    /// The bus, e.g. rediss://redis.example:6379, without its password
    #[arg(long, value_name = "URL", value_parser = str::parse::<BusLocation>)]
    bus: BusLocation,
    /// The id of the run
    #[arg(long, value_name = "ID", value_parser = str::parse::<ClusterName>)]
    run: ClusterName,
    /// The image of Manada, e.g. registry.example/manada:0.2.0
    #[arg(long, value_parser = str::parse::<ImageReference>)]
    image: ImageReference,
    /// The namespace (default: that of kubectl)
    #[arg(long, value_name = "NAME", hide_short_help = true,
        value_parser = str::parse::<ClusterName>)]
    namespace: Option<ClusterName>,
    /// What agents may load: HOST:PORT or CIDR:PORT; repeatable
    ///
    /// A NetworkPolicy contains addresses, no names: the port of a name is open to every address.
    /// The agents themselves get the list, too.
    #[arg(long, value_name = "TARGET", value_parser = str::parse::<Destination>)]
    allow: Vec<Destination>,
    /// Secret with the password of the bus, key `password`
    #[arg(long, value_name = "NAME", value_parser = str::parse::<ClusterName>,
        help_heading = "Secrets")]
    bus_secret: Option<ClusterName>,
    /// Secret with `ca.crt`, `tls.crt` and `tls.key` for the bus
    #[arg(long, value_name = "NAME", value_parser = str::parse::<ClusterName>,
        help_heading = "Secrets")]
    tls_secret: Option<ClusterName>,
    /// Secret with private keys and client certificates of the scenario, by file name
    #[arg(long, value_name = "NAME", value_parser = str::parse::<ClusterName>,
        hide_short_help = true, help_heading = "Secrets")]
    keys_secret: Option<ClusterName>,
    /// Variable of the agents from a Secret, for `secret()`; repeatable
    #[arg(long, value_name = "NAME=SECRET/KEY", value_parser = str::parse::<SecretVariable>,
        hide_short_help = true, help_heading = "Secrets")]
    secret_env: Vec<SecretVariable>,
    /// Cores of an agent
    #[arg(long, value_name = "CORES", default_value = "2", value_parser = kubernetes::cpu,
        hide_short_help = true, help_heading = "Resources")]
    cpu: ResourceQuantity,
    /// Memory of an agent
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = kubernetes::memory,
        hide_short_help = true, help_heading = "Resources")]
    memory: ResourceQuantity,
    /// When the agents end, whatever the run does
    #[arg(long, value_name = "D", default_value = "4h", value_parser = args::duration,
        hide_short_help = true, help_heading = "Resources")]
    deadline: Duration,
    /// Also create a Redis for this run, which stores nothing
    #[arg(long, hide_short_help = true, help_heading = "Resources")]
    with_redis: bool,
    /// Folder for a file of each object; `-`: print them
    #[arg(short, long, value_name = "DIR|-", default_value = "-", help_heading = "Output")]
    out: PathBuf,
}

/// The actions.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClusterAction {
    /// Print the objects as YAML
    Render,
}

impl Args {
    fn cluster_run(&self) -> ClusterRun {
        ClusterRun {
            agents: self.agents,
            bus: self.bus.clone(),
            run: self.run.clone(),
            image: self.image.clone(),
            namespace: self.namespace.clone(),
            bus_secret: self.bus_secret.clone(),
            keys_secret: self.keys_secret.clone(),
            tls_secret: self.tls_secret.clone(),
            variables: self.secret_env.clone(),
            targets: self.allow.clone(),
            cpu: self.cpu.clone(),
            memory: self.memory.clone(),
            deadline: self.deadline,
            with_redis: self.with_redis,
        }
    }
}

pub(super) fn run(args: &Args) -> ExitStatus {
    let ClusterAction::Render = args.action;
    let run = args.cluster_run();
    let files = match kubernetes::render(&run) {
        Ok(files) => files,
        Err(refusal) => {
            print_error(&refusal);
            return ExitStatus::Usage;
        }
    };
    for one in run.named_destinations() {
        print_remark(&format!(
            "note: a NetworkPolicy contains no names: port {} is open to every address because of \
             `{}`; an address or CIDR:PORT is stricter\n",
            one.port, one.text
        ));
    }
    if run.targets.is_empty() {
        print_remark(&"note: without `--allow` the agents reach no target, and refuse to start\n");
    }
    if args.out == Path::new("-") {
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        return finish(io::stdout().write_all(texts.join("---\n").as_bytes()), ExitStatus::Pass);
    }
    match write_files(&args.out, files.iter().map(|file| (file.name, file.text.as_str()))) {
        Ok(()) => ExitStatus::Pass,
        Err(error) => {
            print_error(&format_args!("cannot write to {}: {error}", args.out.display()));
            ExitStatus::Broken
        }
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use clap::Parser;

    use super::super::{Cli, CliCommand};
    use crate::kubernetes::agent_words;

    #[test]
    fn agents_accept_the_words_of_their_pods() {
        let line = "manada k8s render --agents 2 --run shop-7 --image m --bus rediss://me@bus:6380 \
                    --allow 10.0.0.0/8:80 --allow [fd00::/8]:80 --allow shop.example:443";
        for more in ["", " --tls-secret a --bus-secret b --keys-secret c --secret-env A=b/c"] {
            let parsed = Cli::try_parse_from(format!("{line}{more}").split_whitespace()).unwrap();
            let CliCommand::K8s(args) = parsed.command else { panic!("{more}") };
            let words = agent_words(&args.cluster_run());
            let words = std::iter::once("manada".to_owned()).chain(words);
            let parsed = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
            assert!(matches!(parsed.command, CliCommand::Agent(_)), "{more}");
        }
    }
}
