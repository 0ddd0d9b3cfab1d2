//! The objects of a run as files of YAML.
//!
//! `cli` calls it and writes the files.
//! Invariant: the same run renders to the same bytes; an object comes after those that it needs.

use super::error::ClusterRefusal;
use super::objects::AnyObject;
use super::run::ClusterRun;
use super::{job, policy, redis};

/// A file of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFile {
    /// Name of the file.
    pub name: &'static str,
    /// The object as YAML.
    pub text: String,
}

/// Renders the objects of a run.
///
/// # Errors
/// If parts of the run do not fit together.
pub fn render(run: &ClusterRun) -> Result<Vec<ClusterFile>, ClusterRefusal> {
    run.check()?;
    let mut objects = Vec::new();
    if run.with_redis {
        objects.extend([
            ("redis-networkpolicy.yaml", policy::of_redis(run)),
            ("redis-service.yaml", redis::service(run)?),
            ("redis-deployment.yaml", redis::deployment(run)?),
        ]);
    }
    // The policy first: no pod runs without it.
    objects.push(("agents-networkpolicy.yaml", policy::of_agents(run)));
    objects.push(("agents-job.yaml", job::job(run)));
    Ok(objects
        .into_iter()
        .map(|(name, object)| ClusterFile { name, text: yaml(&object) })
        .collect())
}

fn yaml(object: &AnyObject) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    // It fails only for values that no object has, such as maps with lists as keys.
    serde_saphyr::to_string_with_options(object, options).unwrap_or_default()
}
