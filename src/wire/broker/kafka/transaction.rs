//! The transactions of a producer: their coordinator, the partitions in them, and their end.
//!
//! `producer` asks it what may be sent, lets it send what is due, and hands it responses.
//! Invariant: no record goes to a partition before the coordinator has the partition in the
//! transaction; a transaction with a record that was refused is aborted, never committed; each
//! command is answered once.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use super::cluster::ClusterLayout;
use super::error_code::{
    CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE, is_passing, is_without_coordinator, status_of,
};
use super::link::{LinkRole, SentRequest, TransactionRequest};
use super::links::BrokerLinks;
use super::record_batch::ProducerIdentity;
use super::requests::{self, KafkaRequest};
use super::responses;
use crate::clock::Time;
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::units::nanos;
use crate::wire::broker::command::CommandAnswer;

/// The wait before the coordinator is asked again, ns: it has not ended the last transaction, or
/// has moved.
const AGAIN_NS: u64 = 20_000_000;

/// A partition of a topic, both by index.
pub(super) type PartitionIndex = (usize, usize);

/// The transactions of one transactional id.
#[derive(Debug)]
pub(super) struct ProducerTransaction {
    /// The transactional id.
    id: Box<str>,
    timeout_ms: i32,
    coordinator: Option<i32>,
    phase: TransactionPhase,
    /// The command that is answered next.
    command: Option<u64>,
    /// Partitions that the coordinator has in the transaction.
    added: BTreeSet<PartitionIndex>,
    /// Whether the coordinator has a request without a response.
    is_asking: bool,
    /// Before it, the coordinator gets no request.
    not_before: Time,
    /// Why the transaction cannot be committed: the first error of it.
    failed: Option<i16>,
    answers: VecDeque<CommandAnswer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransactionPhase {
    /// None is open.
    Idle,
    /// It begins when the identity of the producer is known.
    Beginning,
    Open,
    /// It ends when all of its records are answered.
    Committing,
    /// As [`Self::Committing`], to nothing; another one begins then if a command waits for that.
    Aborting {
        begins: bool,
    },
}

/// What the producer does after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentityUse {
    Keep,
    /// It demands another identity, with the next transaction.
    Renew,
}

impl ProducerTransaction {
    pub(super) fn new(id: &str, settings: &KafkaSettings) -> Self {
        let timeout_ms = nanos(settings.transaction_timeout) / 1_000_000;
        Self {
            id: id.into(),
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            coordinator: None,
            phase: TransactionPhase::Idle,
            command: None,
            added: BTreeSet::new(),
            is_asking: false,
            not_before: Time(0),
            failed: None,
            answers: VecDeque::new(),
        }
    }

    /// The transactional id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Begins a transaction; one that is open is aborted before. A command without an answer gets
    /// none any more: its step has timed out.
    pub(super) fn begin(&mut self, number: u64) {
        self.command = Some(number);
        self.phase = match self.phase {
            TransactionPhase::Idle | TransactionPhase::Beginning => TransactionPhase::Beginning,
            _ => TransactionPhase::Aborting { begins: true },
        };
    }

    /// Commits the open transaction.
    pub(super) fn commit(&mut self, number: u64, now: Time) {
        if self.phase != TransactionPhase::Open {
            self.answers.push_back(answer(number, now, INVALID_TXN_STATE));
            return;
        }
        self.command = Some(number);
        self.phase = TransactionPhase::Committing;
    }

    /// Aborts what is open: the session closes.
    pub(super) fn abandon(&mut self) {
        self.command = None;
        self.phase = match self.phase {
            TransactionPhase::Idle | TransactionPhase::Beginning => TransactionPhase::Idle,
            _ => TransactionPhase::Aborting { begins: false },
        };
    }

    /// Why a record is refused now; `None`: it is part of the transaction.
    pub(super) fn refusal(&self) -> Option<i16> {
        match self.phase {
            TransactionPhase::Open => self.failed,
            _ => Some(INVALID_TXN_STATE),
        }
    }

    /// Notes that a record was refused.
    pub(super) fn note_failure(&mut self, code: i16) {
        self.failed.get_or_insert(code);
    }

    /// Why the transaction cannot be committed, if so.
    pub(super) const fn failure(&self) -> Option<i16> {
        self.failed
    }

    /// Whether it cannot be committed: what is under way counts for nothing.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether it ends: batches wait for no more records.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.phase, TransactionPhase::Committing | TransactionPhase::Aborting { .. })
    }

    /// Whether nothing is open, and no command waits.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == TransactionPhase::Idle && self.answers.is_empty()
    }

    /// Whether records may go to a partition: without transactions always.
    pub(super) fn admits(transaction: Option<&Self>, partition: PartitionIndex) -> bool {
        transaction.is_none_or(|own| own.added.contains(&partition))
    }

    /// Whether there is an answer.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The oldest answer.
    pub(super) fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.answers.pop_front()
    }

    /// When something is to be done, if nothing else happens.
    pub(super) fn deadline(&self, now: Time) -> Time {
        let waits = self.phase != TransactionPhase::Idle && !self.is_asking;
        if waits && self.not_before > now { self.not_before } else { Time::NEVER }
    }

    /// Asks the coordinator for what is due. `wanted` are partitions that have records, `names` the
    /// topics, `is_flushed`: all records are answered.
    pub(super) fn send_due(
        &mut self,
        (now, identity): (Time, Option<ProducerIdentity>),
        (names, wanted): (&[&str], &[PartitionIndex]),
        is_flushed: bool,
        (cluster, links): (&ClusterLayout, &mut BrokerLinks),
    ) -> IdentityUse {
        if self.phase == TransactionPhase::Idle || self.is_asking || now < self.not_before {
            return IdentityUse::Keep;
        }
        let Some(coordinator) = self.coordinator else {
            self.is_asking = true;
            let find = requests::find_transaction_coordinator(&self.id);
            let pending = SentRequest::Transaction(TransactionRequest::FindCoordinator);
            links.request_of_any(cluster, &find, pending);
            return IdentityUse::Keep;
        };
        let Some(identity) = identity else {
            let init = requests::init_producer(Some((&self.id, self.timeout_ms)));
            self.ask(coordinator, &init, TransactionRequest::Init, (cluster, links));
            return IdentityUse::Keep;
        };
        if self.phase == TransactionPhase::Beginning {
            self.open(now);
            return IdentityUse::Keep;
        }
        let new: Vec<PartitionIndex> =
            wanted.iter().copied().filter(|place| !self.added.contains(place)).collect();
        if !new.is_empty() && self.failed.is_none() {
            let add = requests::add_partitions(&self.id, identity, names, &new);
            self.ask(coordinator, &add, TransactionRequest::Add(new), (cluster, links));
            return IdentityUse::Keep;
        }
        if self.is_ending() && is_flushed {
            if self.added.is_empty() {
                return self.end(now, 0);
            }
            let commits = self.phase == TransactionPhase::Committing && self.failed.is_none();
            let end = requests::end_transaction(&self.id, identity, commits);
            self.ask(coordinator, &end, TransactionRequest::End, (cluster, links));
        }
        IdentityUse::Keep
    }

    fn ask(
        &mut self,
        coordinator: i32,
        request: &KafkaRequest,
        pending: TransactionRequest,
        (cluster, links): (&ClusterLayout, &mut BrokerLinks),
    ) {
        match links.link_to(cluster, coordinator, LinkRole::Main) {
            Some(link) => {
                self.is_asking = true;
                link.request(request, Some(SentRequest::Transaction(pending)));
            }
            None => self.coordinator = None,
        }
    }

    /// The transaction that a command waits for is open.
    fn open(&mut self, now: Time) {
        self.phase = TransactionPhase::Open;
        if let Some(number) = self.command.take() {
            self.answers.push_back(answer(number, now, 0));
        }
    }

    /// The transaction has ended, with this code of its coordinator.
    fn end(&mut self, now: Time, code: i16) -> IdentityUse {
        let failed = self.failed.take();
        self.added.clear();
        let begins = self.phase == TransactionPhase::Aborting { begins: true };
        let result = if code == 0 && !begins { failed.unwrap_or(0) } else { code };
        self.phase = if begins && code == 0 {
            TransactionPhase::Beginning
        } else {
            if let Some(number) = self.command.take() {
                self.answers.push_back(answer(number, now, result));
            }
            TransactionPhase::Idle
        };
        if failed.is_some() || code != 0 { IdentityUse::Renew } else { IdentityUse::Keep }
    }

    /// Takes the response of a coordinator, but that with an identity. `add_node`: makes a broker
    /// known.
    pub(super) fn take_response(
        &mut self,
        now: Time,
        request: TransactionRequest,
        body: &[u8],
        cluster: &mut ClusterLayout,
    ) -> Result<IdentityUse, FailureKind> {
        let code = match &request {
            TransactionRequest::FindCoordinator => {
                let (code, node) = responses::coordinator(body)?;
                if code == 0 {
                    self.coordinator = Some(node.id);
                    cluster.add_node(node);
                }
                code
            }
            TransactionRequest::Init => return Err(FailureKind::BadReply),
            TransactionRequest::Add(_) => responses::added_partitions(body)?,
            TransactionRequest::End => responses::ended_transaction(body)?,
        };
        if !self.settle(now, code) {
            return Ok(IdentityUse::Keep);
        }
        Ok(match request {
            _ if code != 0 => self.fail(now, code),
            TransactionRequest::Add(partitions) => {
                self.added.extend(partitions);
                IdentityUse::Keep
            }
            TransactionRequest::End => self.end(now, 0),
            TransactionRequest::FindCoordinator | TransactionRequest::Init => IdentityUse::Keep,
        })
    }

    /// Notes that a response came with this code; whether its request is done, and not sent again.
    pub(super) fn settle(&mut self, now: Time, code: i16) -> bool {
        self.is_asking = false;
        let is_moved = is_without_coordinator(code);
        if is_moved {
            self.coordinator = None;
        }
        let again = is_moved || is_passing(code) || code == CONCURRENT_TRANSACTIONS;
        self.not_before = if again { now.after(AGAIN_NS) } else { now };
        !again
    }

    /// The coordinator has refused to go on: the transaction is over.
    pub(super) fn fail(&mut self, now: Time, code: i16) -> IdentityUse {
        if self.phase == TransactionPhase::Open {
            // Its commit says so.
            self.note_failure(code);
            return IdentityUse::Keep;
        }
        self.failed = None;
        self.end(now, code)
    }
}

fn answer(number: u64, at: Time, code: i16) -> CommandAnswer {
    CommandAnswer { number, at, status: status_of(code), reason: "".into(), written: None }
}
