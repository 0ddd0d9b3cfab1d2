//! What the coordinator of a fleet writes for its agents before the run: the plain value `setup`.
//!
//! `agents` writes it; `agent` reads it, and a coordinator that resumes the run.
//! Invariant: an agent of another build refuses it: its first line has the hash of all forms.

use super::protocol::FleetTimes;
use super::signature::without_signature;
use crate::event::LossPolicy;
use crate::event::packed::frame::checksum;
use crate::event::packed::{Packed, PackedBytes, Shape, listed, packed};
use crate::files::Sha256Hash;
use crate::plan::Address;
use crate::seed::Seed;

/// What the agents of a run are to run.
#[derive(Clone, Debug)]
pub struct FleetSetup {
    /// The command line that names the plan, program first, as bytes.
    pub words: Vec<Vec<u8>>,
    /// The seed, also if the command line has none.
    pub seed: Seed,
    /// The id of the run, as reports and stamps have it.
    pub run_id: String,
    /// The address of each service.
    pub addresses: Vec<Address>,
    /// The number of agents.
    pub agents: u16,
    /// The name of the value with the files of the scenario.
    pub bundle: String,
    /// The times of the protocol.
    pub times: FleetTimes,
    /// The shards of each agent, if they are set.
    pub shards: Option<u16>,
    /// How long agents may take to join, and again to prepare, ns.
    pub join_timeout: u64,
    /// What becomes of the load of a lost agent.
    pub on_loss: LossPolicy,
}

listed! {
    LossPolicy: Redistribute, Continue, Abort;
}

packed! {
    FleetSetup {
        words, seed, run_id, addresses, agents, bundle, times, shards, join_timeout, on_loss,
    }
}

/// The first line of a setup of this build.
fn first_line() -> String {
    let mut shape = Shape::default();
    FleetSetup::describe(&mut shape);
    let (version, hash) = (env!("CARGO_PKG_VERSION"), checksum(shape.as_str().as_bytes()));
    format!("manada setup {version} shapes {hash:08x}\n")
}

/// The name of the value with these files: nothing else can be in it.
pub fn bundle_name(bundle: &[u8]) -> String {
    format!("blob:{}", Sha256Hash::of(bundle))
}

impl FleetSetup {
    /// Writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = first_line().into_bytes();
        self.pack(&mut bytes);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, also if it is signed: `signature` verifies
    /// that.
    ///
    /// # Errors
    /// Why it cannot be read, as text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (expected, bytes) = (first_line(), without_signature(bytes));
        let end = bytes.iter().take(128).position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(0, |end| end + 1));
        if line != expected.as_bytes() {
            let found = crate::printable::printable(&String::from_utf8_lossy(line));
            return Err(format!(
                "the coordinator is another build of manada: it wrote `{}`, expected `{}`; use one \
                 build on all machines",
                found.trim(),
                expected.trim()
            ));
        }
        let version = crate::event::record::header::VERSION;
        let mut from = PackedBytes { left: rest, version };
        Self::unpack(&mut from)
            .filter(|_| from.left.is_empty())
            .ok_or_else(|| "what the coordinator wrote for its agents is damaged".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;

    #[test]
    fn a_setup_reads_back_and_that_of_another_build_is_refused() {
        let setup = FleetSetup {
            words: vec![b"manada".to_vec(), b"run".to_vec(), vec![0xff, b' ']],
            seed: Seed::new(7).unwrap(),
            run_id: "r-1".to_owned(),
            addresses: vec![Address {
                protocol: Protocol::Http,
                tls: true,
                host: "shop.test".to_owned(),
                port: 443,
                prefix: "/api".to_owned(),
            }],
            agents: 3,
            bundle: "blob:abc".to_owned(),
            times: FleetTimes::default(),
            shards: Some(2),
            join_timeout: 7,
            on_loss: LossPolicy::Abort,
        };
        let bytes = setup.to_bytes();
        let read = FleetSetup::from_bytes(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{setup:?}"));
        let mut other = bytes.clone();
        other[13] ^= 1;
        assert!(FleetSetup::from_bytes(&other).unwrap_err().contains("another build"));
        for cut in [0, 5, bytes.len() - 1] {
            assert!(FleetSetup::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
