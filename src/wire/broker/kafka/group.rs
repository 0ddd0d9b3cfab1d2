//! Membership of a consumer group: joining, the assignment of partitions, heartbeats, offsets.
//!
//! `session` drives it. The protocol is the classic one, with the assignor `range`: a rebalance
//! takes all partitions from all members.
//! Invariant: one request of a group is under way at most, so that its answers come in order; a
//! rebalance is counted once, with the time from its notice to the new positions.

use super::assignment;
use super::cluster::ClusterLayout;
use super::consumer::{KafkaConsumer, answer};
use super::error_code::{
    ILLEGAL_GENERATION, MEMBER_ID_REQUIRED, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, is_passing,
    is_without_coordinator,
};
use super::link::{GroupRequest, LinkRole, SentRequest};
use super::links::BrokerLinks;
use super::requests::{self, KafkaRequest, Membership};
use super::responses::{self, JoinedGroup};
use crate::clock::Time;
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::units::nanos;

/// The wait before a request is sent again, ns.
const AGAIN_NS: u64 = 100_000_000;

/// A group that the session is a member of.
#[derive(Debug)]
pub(super) struct ConsumerGroup {
    pub(super) name: Box<str>,
    coordinator: Option<i32>,
    /// Empty before the coordinator has named the member.
    member: String,
    generation: i32,
    phase: GroupPhase,
    /// Whether a request is under way.
    is_busy: bool,
    /// Before it, no request is sent.
    not_before: Time,
    next_heartbeat: Time,
    next_commit: Time,
    /// When the rebalance began that is under way; `None` while the group is joined first.
    rebalancing: Option<Time>,
    /// Whether offsets are to be stored at once.
    wants_commit: bool,
    /// Finished rebalances: how long each took, ns.
    pub(super) rebalanced: Vec<u64>,
    settings: KafkaSettings,
}

/// What a group does next.
#[derive(Debug)]
enum GroupPhase {
    Find,
    Join,
    /// As the leader, once the partitions of all topics are known.
    Assign(JoinedGroup),
    Sync(Vec<(String, Vec<u8>)>),
    FetchOffsets(Vec<(String, i32)>),
    /// Positions that are not stored are asked for.
    Position,
    Stable,
    /// Offsets are stored before the group is joined again.
    Revoke,
    Leave,
    Left,
}

impl ConsumerGroup {
    pub(super) fn new(name: &str, settings: &KafkaSettings) -> Self {
        Self {
            name: name.into(),
            coordinator: None,
            member: String::new(),
            generation: -1,
            phase: GroupPhase::Find,
            is_busy: false,
            not_before: Time(0),
            next_heartbeat: Time(0),
            next_commit: Time(0),
            rebalancing: None,
            wants_commit: false,
            rebalanced: Vec::new(),
            settings: *settings,
        }
    }

    /// Joins again, since the member listens to another topic.
    pub(super) fn subscribe_again(&mut self) {
        if matches!(self.phase, GroupPhase::Stable | GroupPhase::Position) {
            self.phase = GroupPhase::Revoke;
        }
    }

    /// Stores offsets soon.
    pub(super) const fn commit_soon(&mut self) {
        self.wants_commit = true;
    }

    /// Leaves the group, after offsets were stored.
    pub(super) fn leave(&mut self) {
        self.not_before = Time(0);
        self.phase = match (&self.phase, self.member.is_empty()) {
            (GroupPhase::Left, _) | (_, true) => GroupPhase::Left,
            _ => GroupPhase::Leave,
        };
    }

    /// Whether it was left.
    pub(super) const fn is_left(&self) -> bool {
        matches!(self.phase, GroupPhase::Left) && !self.is_busy
    }

    fn membership(&self) -> Membership<'_> {
        Membership { group: &self.name, generation: self.generation, member: &self.member }
    }

    /// When something is to be done.
    pub(super) fn deadline(&self) -> Time {
        match &self.phase {
            _ if self.is_busy => Time::NEVER,
            GroupPhase::Left | GroupPhase::Position => Time::NEVER,
            GroupPhase::Stable => {
                let next = self.next_heartbeat.min(self.next_commit);
                if self.wants_commit { self.not_before } else { next.max(self.not_before) }
            }
            _ => self.not_before,
        }
    }

    /// Sends what is due.
    pub(super) fn send_due(
        &mut self,
        index: usize,
        now: Time,
        consumer: &mut KafkaConsumer,
        (cluster, links): (&mut ClusterLayout, &mut BrokerLinks),
    ) {
        if let GroupPhase::Position = self.phase
            && consumer.has_positions(Some(index))
        {
            self.phase = GroupPhase::Stable;
            self.rebalanced.extend(self.rebalancing.take().map(|since| now.since(since)));
            (self.next_heartbeat, self.next_commit) = (
                now.after(nanos(self.settings.heartbeat)),
                now.after(nanos(self.settings.commit_interval)),
            );
        }
        if now < self.deadline() {
            return;
        }
        let Some((request, kind)) = self.next_request(index, now, consumer, cluster) else {
            return;
        };
        let pending = SentRequest::Group(index, kind);
        match self.coordinator {
            _ if kind == GroupRequest::FindCoordinator => {
                links.request_of_any(cluster, &request, pending);
            }
            Some(node) => {
                let Some(link) = links.link_to(cluster, node, LinkRole::Group) else {
                    (self.coordinator, self.phase) = (None, GroupPhase::Find);
                    return;
                };
                link.request(&request, Some(pending));
            }
            None => {
                self.phase = GroupPhase::Find;
                return;
            }
        }
        self.is_busy = true;
    }

    /// The request that is due.
    fn next_request(
        &mut self,
        index: usize,
        now: Time,
        consumer: &mut KafkaConsumer,
        cluster: &mut ClusterLayout,
    ) -> Option<(KafkaRequest, GroupRequest)> {
        match &mut self.phase {
            GroupPhase::Find => {
                Some((requests::find_coordinator(&self.name), GroupRequest::FindCoordinator))
            }
            GroupPhase::Revoke => {
                let commit = self.commit(index, consumer);
                if commit.is_none() {
                    consumer.revoke(index);
                    self.phase = GroupPhase::Join;
                }
                commit
            }
            GroupPhase::Join => {
                let topics = consumer.subscriptions.iter().filter(|own| own.group == Some(index));
                let topics: Vec<&str> = topics.map(|own| &*own.topic).collect();
                let subscription = assignment::subscription(&topics);
                let request =
                    requests::join_group(&self.settings, self.membership(), &subscription);
                Some((request, GroupRequest::Join))
            }
            GroupPhase::Assign(joined) => match assignment::assign(joined, cluster, now) {
                Some(parts) => {
                    self.phase = GroupPhase::Sync(parts);
                    self.next_request(index, now, consumer, cluster)
                }
                None => {
                    self.not_before = now.after(AGAIN_NS / 10);
                    None
                }
            },
            GroupPhase::Sync(parts) => {
                let parts = std::mem::take(parts);
                Some((requests::sync_group(self.membership(), &parts), GroupRequest::Sync))
            }
            GroupPhase::FetchOffsets(assigned) => {
                let partitions = assigned.iter().map(|(topic, index)| (topic.as_str(), *index));
                let request = requests::fetch_offsets(&self.name, partitions);
                Some((request, GroupRequest::FetchOffsets))
            }
            GroupPhase::Stable => self.keep(index, now, consumer),
            GroupPhase::Leave => {
                let commit = self.commit(index, consumer);
                if commit.is_some() {
                    return commit;
                }
                self.phase = GroupPhase::Left;
                Some((requests::leave_group(self.membership()), GroupRequest::Leave))
            }
            GroupPhase::Position | GroupPhase::Left => None,
        }
    }

    /// Stores offsets if they are due, else sends a heartbeat if one is.
    fn keep(
        &mut self,
        index: usize,
        now: Time,
        consumer: &mut KafkaConsumer,
    ) -> Option<(KafkaRequest, GroupRequest)> {
        if self.wants_commit || now >= self.next_commit {
            self.wants_commit = false;
            self.next_commit = now.after(nanos(self.settings.commit_interval));
            if let Some(commit) = self.commit(index, consumer) {
                return Some(commit);
            }
        }
        if now < self.next_heartbeat {
            return None;
        }
        self.next_heartbeat = now.after(nanos(self.settings.heartbeat));
        Some((requests::heartbeat(self.membership()), GroupRequest::Heartbeat))
    }

    /// The request that stores offsets; `None` if all are stored.
    fn commit(
        &self,
        index: usize,
        consumer: &mut KafkaConsumer,
    ) -> Option<(KafkaRequest, GroupRequest)> {
        let offsets = consumer.take_done(index);
        (!offsets.is_empty())
            .then(|| (requests::commit(self.membership(), &offsets), GroupRequest::Commit))
    }

    /// Takes the response to a request.
    pub(super) fn take_response(
        &mut self,
        (index, kind): (usize, GroupRequest),
        now: Time,
        body: &[u8],
        consumer: &mut KafkaConsumer,
        cluster: &mut ClusterLayout,
    ) -> Result<(), FailureKind> {
        self.is_busy = false;
        self.not_before = now;
        let code = match kind {
            GroupRequest::FindCoordinator => {
                let (code, node) = responses::coordinator(body)?;
                if code == 0 {
                    self.coordinator = Some(node.id);
                    cluster.add_node(node);
                    self.advance(GroupPhase::Join);
                }
                code
            }
            GroupRequest::Join => self.take_joined(JoinedGroup::read(body)?),
            GroupRequest::Sync => {
                let (code, assigned) = responses::synced(body)?;
                if code == 0 {
                    consumer.assign(index, &assigned, now);
                    let is_none = assigned.is_empty();
                    self.advance(if is_none {
                        GroupPhase::Position
                    } else {
                        GroupPhase::FetchOffsets(assigned)
                    });
                }
                code
            }
            GroupRequest::FetchOffsets => {
                let code = responses::stored_offsets(body, &mut |topic, partition, offset| {
                    consumer.take_stored(index, topic, partition, offset);
                })?;
                if code == 0 {
                    consumer.look_again(now);
                    self.advance(GroupPhase::Position);
                }
                code
            }
            GroupRequest::Commit => responses::committed(body)?,
            GroupRequest::Heartbeat => responses::error_alone(body)?,
            GroupRequest::Leave => return Ok(()),
        };
        if code != 0 {
            if kind == GroupRequest::Commit {
                consumer.forget_stored(index);
            }
            self.fail(index, now, code, consumer);
        }
        Ok(())
    }

    /// Goes on, unless the session leaves the group.
    fn advance(&mut self, phase: GroupPhase) {
        if !matches!(self.phase, GroupPhase::Leave | GroupPhase::Left) {
            self.phase = phase;
        }
    }

    fn take_joined(&mut self, joined: JoinedGroup) -> i16 {
        let code = joined.error;
        if code == MEMBER_ID_REQUIRED {
            self.member = joined.member;
            return 0;
        }
        if code == 0 {
            self.member.clone_from(&joined.member);
            self.generation = joined.generation;
            let leads = joined.leader == joined.member;
            self.advance(if leads {
                GroupPhase::Assign(joined)
            } else {
                GroupPhase::Sync(Vec::new())
            });
        }
        code
    }

    /// Handles the error of a request.
    fn fail(&mut self, index: usize, now: Time, code: i16, consumer: &mut KafkaConsumer) {
        if matches!(self.phase, GroupPhase::Leave | GroupPhase::Left) {
            self.phase = GroupPhase::Left;
            return;
        }
        let was_stable = matches!(self.phase, GroupPhase::Stable);
        if was_stable && (!is_passing(code) || is_without_coordinator(code)) {
            self.rebalancing = self.rebalancing.or(Some(now));
        }
        match code {
            REBALANCE_IN_PROGRESS => {
                self.phase = if was_stable { GroupPhase::Revoke } else { GroupPhase::Join };
            }
            UNKNOWN_MEMBER_ID | ILLEGAL_GENERATION => {
                // Its partitions are another's by now: offsets can no longer be stored.
                consumer.revoke(index);
                self.member.clear();
                self.generation = -1;
                self.phase = GroupPhase::Join;
            }
            code if is_without_coordinator(code) => {
                (self.coordinator, self.phase) = (None, GroupPhase::Find);
                consumer.revoke(index);
                self.not_before = now.after(AGAIN_NS);
            }
            code if is_passing(code) => self.not_before = now.after(AGAIN_NS),
            code => self.give_up(index, now, code, consumer),
        }
    }

    /// Ends the membership: nothing makes the error go away.
    fn give_up(&mut self, index: usize, now: Time, code: i16, consumer: &mut KafkaConsumer) {
        consumer.revoke(index);
        self.phase = GroupPhase::Left;
        let KafkaConsumer { subscriptions, answers, .. } = consumer;
        for own in subscriptions.iter_mut().filter(|own| own.group == Some(index)) {
            // A second answer to a command says that its subscription has ended.
            own.command = None;
            answers.push_back(answer(own.began, now, code));
        }
    }
}
