//! The assignor `range`: which member of a group gets which partitions.
//!
//! `group` calls it as the leader of a group.
//! Invariant: each partition of each topic goes to one member that listens to the topic; the parts
//! of a topic differ by one partition at most.

use super::cluster::{ClusterLayout, TopicKnowledge};
use super::fields::{put_bytes, put_int, put_text};
use super::responses::JoinedGroup;
use crate::clock::Time;

/// The version of subscriptions and assignments.
const VERSION: i16 = 0;

/// Partitions of a topic.
type TopicPart<'a> = (&'a str, std::ops::Range<usize>);

/// What a member tells the leader: its topics.
pub(super) fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut out = VERSION.to_be_bytes().to_vec();
    put_int(&mut out, topics.len() as i32);
    topics.iter().for_each(|topic| put_text(&mut out, topic));
    put_bytes(&mut out, &[]);
    out
}

/// The part of each member, encoded; `None` until the partitions of all topics are known. A topic
/// that cannot be used has no partitions.
pub(super) fn assign(
    joined: &JoinedGroup,
    cluster: &mut ClusterLayout,
    now: Time,
) -> Option<Vec<(String, Vec<u8>)>> {
    let all = joined.members.iter().flat_map(|(_, topics)| topics.iter().map(String::as_str));
    let mut topics: Vec<&str> = all.collect();
    topics.sort_unstable();
    topics.dedup();
    let mut counts = Vec::new();
    for topic in topics {
        match cluster.topic(topic, now) {
            TopicKnowledge::Known(leaders) => counts.push((topic, leaders.len())),
            TopicKnowledge::Unknown => return None,
            TopicKnowledge::Failed(_) => {}
        }
    }
    let mut members: Vec<_> = joined.members.iter().collect();
    members.sort_unstable();
    let mut parts: Vec<(String, Vec<TopicPart<'_>>)> =
        members.iter().map(|(member, _)| (member.clone(), Vec::new())).collect();
    for (topic, count) in counts {
        let listens = |place: &usize| members[*place].1.iter().any(|own| own == topic);
        let takers: Vec<usize> = (0..members.len()).filter(listens).collect();
        let mut next = 0;
        for (rank, place) in takers.iter().enumerate() {
            let share = count / takers.len() + usize::from(rank < count % takers.len());
            if share > 0 {
                parts[*place].1.push((topic, next..next + share));
            }
            next += share;
        }
    }
    Some(parts.into_iter().map(|(member, own)| (member, encode(&own))).collect())
}

fn encode(parts: &[TopicPart<'_>]) -> Vec<u8> {
    let mut out = VERSION.to_be_bytes().to_vec();
    put_int(&mut out, parts.len() as i32);
    for (topic, partitions) in parts {
        put_text(&mut out, topic);
        put_int(&mut out, partitions.len() as i32);
        partitions.clone().for_each(|index| put_int(&mut out, index as i32));
    }
    put_bytes(&mut out, &[]);
    out
}

#[cfg(test)]
mod tests {
    use super::super::fields::put_measured;
    use super::super::responses::{ClusterMetadata, TopicLayout, synced};
    use super::*;

    /// What each member gets, as `topic partitions`.
    fn parts(members: &[(&str, &[&str])], topics: &[(&str, usize)]) -> Vec<String> {
        let now = Time(0);
        let mut cluster = ClusterLayout::default();
        for (topic, _) in topics {
            assert_eq!(cluster.topic(topic, now), TopicKnowledge::Unknown);
        }
        let owned = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        let members = members.iter().map(|(id, topics)| ((*id).to_owned(), owned(topics)));
        let joined = JoinedGroup { members: members.collect(), ..JoinedGroup::default() };
        assert_eq!(assign(&joined, &mut cluster, now), None, "no partition is known");
        let layout = topics.iter().map(|(name, count)| TopicLayout {
            name: (*name).to_owned(),
            error: if *count == 0 { 29 } else { 0 },
            leaders: vec![1; *count],
        });
        cluster.take(now, ClusterMetadata { nodes: Vec::new(), topics: layout.collect() });
        let parts = assign(&joined, &mut cluster, now).unwrap();
        let shown = parts.into_iter().map(|(member, part)| {
            let mut body = vec![0; 6];
            put_measured(&mut body, |out| out.extend_from_slice(&part));
            let (code, partitions) = synced(&body).unwrap();
            assert_eq!(code, 0);
            let shown = partitions.into_iter().map(|(topic, index)| format!(" {topic}{index}"));
            format!("{member}:{}", shown.collect::<String>())
        });
        shown.collect()
    }

    #[test]
    fn partitions_are_dealt_in_ranges() {
        let both: &[&str] = &["a", "b"];
        assert_eq!(
            parts(&[("m2", both), ("m1", both)], &[("a", 3), ("b", 2)]),
            ["m1: a0 a1 b0", "m2: a2 b1"]
        );
        assert_eq!(
            parts(&[("m1", &["a"]), ("m2", &["a"]), ("m3", &["b"])], &[("a", 1), ("b", 2)]),
            ["m1: a0", "m2:", "m3: b0 b1"]
        );
        assert_eq!(parts(&[("m1", both)], &[("a", 1), ("b", 0)]), ["m1: a0"], "b has no access");
    }
}
