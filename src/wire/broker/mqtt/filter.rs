//! Topic filters.
//!
//! `session` finds the subscription of a message with them, and `scenario` checks them.
//! Invariant: as in §4.7 of MQTT 5.0, which 3.1.1 shares.

/// Checks a topic that is published to.
///
/// # Errors
/// Why it is none: the end of a sentence after it.
pub fn check_topic(topic: &str) -> Result<(), &'static str> {
    check_length(topic)?;
    if topic.contains(['+', '#']) {
        return Err("wildcards stand in filters alone");
    }
    Ok(())
}

/// Checks a topic filter.
///
/// # Errors
/// Why it is none: the end of a sentence after it.
pub fn check(filter: &str) -> Result<(), &'static str> {
    check_length(filter)?;
    let levels = match filter.strip_prefix("$share/") {
        None => filter,
        Some(shared) => match shared.split_once('/') {
            Some((group, rest))
                if !group.is_empty() && !group.contains(['+', '#']) && !rest.is_empty() =>
            {
                rest
            }
            _ => return Err("a shared subscription is `$share/GROUP/FILTER`"),
        },
    };
    let mut levels = levels.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.len() > 1 && level.contains(['+', '#']) {
            return Err("a wildcard is a whole level");
        }
        if level == "#" && levels.peek().is_some() {
            return Err("`#` is the last level");
        }
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("it is empty"),
        65_536.. => Err("it is longer than 65,535 bytes"),
        _ if text.contains('\0') => Err("it contains U+0000"),
        _ => Ok(()),
    }
}

/// Whether a topic matches a filter; of a shared subscription the part behind its group counts.
pub(in crate::wire) fn matches(filter: &str, topic: &str) -> bool {
    let filter = filter
        .strip_prefix("$share/")
        .and_then(|shared| shared.split_once('/'))
        .map_or(filter, |(_, rest)| rest);
    // A wildcard at the first level does not match topics of the broker itself (§4.7.2).
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    let mut wanted = filter.split('/');
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(want), Some(level)) if want == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, is_matching) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$share/g/sport/+", "sport/x", true),
            ("a/b", "a/B", false),
        ] {
            assert_eq!(matches(filter, topic), is_matching, "{filter} {topic}");
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
    }

    #[test]
    fn mistakes_in_filters_and_topics_are_found() {
        for filter in ["", "a/#/b", "a#", "a/b+", "$share/g", "$share//a", "$share/+/a", "a\0"] {
            assert!(check(filter).is_err(), "{filter}");
        }
        for topic in ["", "a/+", "#", "a\0b"] {
            assert!(check_topic(topic).is_err(), "{topic}");
        }
        assert_eq!(check_topic("$SYS/a b"), Ok(()));
    }
}
