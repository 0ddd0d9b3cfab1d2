//! The rules of access for the users of a bus, as commands for `redis-cli`.
//!
//! `cli` prints them.
//! Invariant: an agent can do what the protocol requires of it, in its own run, and nothing else:
//! no script, no `PUBLISH`, no change of the control record, the snapshot, the setup or files, no
//! trimming of streams. A test compares the rules with a server.

use super::error::BusError;
use super::keys::BusKeys;

/// What is forgotten of former rules. The password stays: `ACL SETUSER … >PASSWORD` sets it.
const FIRST: &str = "on resetkeys resetchannels clearselectors -@all";

/// The command that gives a user the rights of an agent of this run.
///
/// # Errors
/// If the id of the run or the name of the user is not valid.
pub fn agent_rule(run: &str, user: &str) -> Result<String, BusError> {
    let keys = named(run, user)?;
    let of = |name: &str| keys.named(name);
    Ok(format!(
        "ACL SETUSER {user} {FIRST} +multi +exec +unwatch +time +info +ping +select +subscribe \
         +unsubscribe &{wake} \
         (+get %R~{control} %R~{setup} %R~{setup}:* %R~{blob} %R~{once}) \
         (+watch +xrevrange %R~{beat}) (+xadd +expire %W~{beat} %W~{delta}) \
         (+set %W~{last})",
        wake = keys.wake(),
        control = keys.control(),
        setup = of("setup"),
        blob = of("blob:*"),
        once = of("once:*"),
        beat = of("beat:*"),
        delta = of("delta:*"),
        last = of("final:*"),
    ))
}

/// The command that gives a user the rights of a coordinator of this run.
///
/// # Errors
/// As [`agent_rule`].
pub fn coordinator_rule(run: &str, user: &str) -> Result<String, BusError> {
    let keys = named(run, user)?;
    Ok(format!(
        "ACL SETUSER {user} {FIRST} +multi +exec +unwatch +watch +time +info +ping +select +eval \
         +get +getrange +set +strlen +expire +xadd +xrange +xrevrange +xtrim +publish +subscribe \
         +unsubscribe &{} ~{}",
        keys.wake(),
        keys.named("*")
    ))
}

fn named(run: &str, user: &str) -> Result<BusKeys, BusError> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if user.is_empty() || user.len() > 128 || !user.bytes().all(is_valid) {
        return Err(BusError::Options(
            "the name of a user of the bus has 1 to 128 letters, digits, `-`, `_`, `.` and `@`",
        ));
    }
    BusKeys::of(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_other_rules_are_refused() {
        for user in ["", "a b", "a\n", "+@all>", "ä"] {
            assert!(agent_rule("r", user).is_err() && coordinator_rule("r", user).is_err());
        }
        assert!(agent_rule("r ~*", "agent").is_err());
        assert!(agent_rule("r", "agent").unwrap().starts_with("ACL SETUSER agent on "));
    }
}
