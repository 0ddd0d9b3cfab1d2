//! What a producer does for its identity and its transactions: which partitions they need, and what
//! their coordinator answers.
//!
//! `producer` and `cluster_state` call it.
//! Invariant: as of `transaction`.

use super::cluster::ClusterLayout;
use super::error_code::{INVALID_TXN_STATE, is_passing, is_without_coordinator};
use super::link::TransactionRequest;
use super::links::BrokerLinks;
use super::producer::{AGAIN_NS, KafkaProducer, answer};
use super::record_batch::ProducerIdentity;
use super::responses;
use super::transaction::{IdentityUse, PartitionIndex, ProducerTransaction};
use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::broker::command::CommandAnswer;

impl KafkaProducer {
    /// Begins a transaction with this transactional id.
    pub(super) fn begin(&mut self, number: u64, id: &str, now: Time) {
        if self.transaction.as_ref().is_none_or(|known| known.id() != id) {
            // One of another id is left to its coordinator, which aborts it in time.
            self.transaction = Some(ProducerTransaction::new(id, &self.settings));
            self.renew_identity();
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.begin(number);
        }
        self.due = now;
    }

    /// Whether it has begun a transaction.
    pub(super) const fn is_transactional(&self) -> bool {
        self.transaction.is_some()
    }

    /// Refuses a message or a commit: no transaction is open.
    pub(super) fn refuse(&mut self, number: u64, now: Time) {
        self.answers.push_back(answer(number, now, INVALID_TXN_STATE, None));
    }

    /// Commits the open transaction.
    pub(super) fn commit(&mut self, number: u64, now: Time) {
        self.due = now;
        match &mut self.transaction {
            Some(transaction) => transaction.commit(number, now),
            None => self.refuse(number, now),
        }
    }

    /// Aborts a transaction that is open: the session closes.
    pub(super) fn abandon_transaction(&mut self, now: Time) {
        if let Some(transaction) = &mut self.transaction {
            transaction.abandon();
            self.due = now;
        }
    }

    /// Whether there is an answer.
    pub(super) fn has_answers(&self) -> bool {
        let transaction = self.transaction.as_ref();
        !self.answers.is_empty() || transaction.is_some_and(ProducerTransaction::has_answers)
    }

    /// Takes the oldest answer.
    pub(super) fn take_answer(&mut self) -> Option<CommandAnswer> {
        let of_transaction = self.transaction.as_mut().and_then(ProducerTransaction::take_answer);
        // A commit is answered after its records.
        self.answers.pop_front().or(of_transaction)
    }

    /// Takes the identity of an idempotent producer.
    pub(super) fn take_identity(&mut self, now: Time, body: &[u8]) -> Result<(), FailureKind> {
        let (error, id, epoch) = responses::producer_identity(body)?;
        self.is_asking = false;
        self.due = now;
        let is_transactional = self.transaction.is_some();
        let identity = ProducerIdentity { id, epoch, is_transactional };
        if let Some(transaction) = &mut self.transaction {
            if !transaction.settle(now, error) {
                self.due = self.transaction_due(now);
            } else if error == 0 {
                self.identity = Some(identity);
            } else {
                transaction.fail(now, error);
            }
        } else if error == 0 {
            self.identity = Some(identity);
        } else if is_passing(error) || is_without_coordinator(error) {
            self.due = now.after(AGAIN_NS);
        } else {
            self.fail_all(now, error);
        }
        Ok(())
    }

    /// Demands another identity before the next batch, whose numbers begin again.
    pub(super) fn renew_identity(&mut self) {
        (self.identity, self.is_asking) = (None, false);
        let partitions = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|partition| partition.next_sequence = 0);
    }

    /// Whether all messages were sent and answered, and no transaction is open.
    pub(super) fn is_idle(&self) -> bool {
        self.is_flushed() && self.transaction.as_ref().is_none_or(ProducerTransaction::is_idle)
    }

    /// Whether all messages were sent and answered.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting() == 0
            && self.topics.iter().all(|topic| {
                topic.unplaced.is_empty()
                    && topic.partitions.iter().all(|partition| partition.in_flight == 0)
            })
    }

    /// Lets the transaction ask its coordinator for what is due.
    pub(super) fn send_of_transaction(
        &mut self,
        now: Time,
        cluster: &ClusterLayout,
        links: &mut BrokerLinks,
    ) {
        let is_flushed = self.is_flushed();
        let Self { transaction, topics, identity, .. } = self;
        let Some(transaction) = transaction else { return };
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
        let wanted: Vec<PartitionIndex> = topics
            .iter()
            .enumerate()
            .flat_map(|(topic, produced)| {
                let partitions = produced.partitions.iter().enumerate();
                partitions.filter(|(_, one)| !one.is_empty()).map(move |(index, _)| (topic, index))
            })
            .collect();
        let made = (names.as_slice(), wanted.as_slice());
        let used = transaction.send_due((now, *identity), made, is_flushed, (cluster, links));
        self.use_identity(used);
    }

    /// When the transaction has something to do, if nothing else happens.
    pub(super) fn transaction_due(&self, now: Time) -> Time {
        self.transaction.as_ref().map_or(Time::NEVER, |transaction| transaction.deadline(now))
    }

    /// Takes the response of the transaction's coordinator.
    pub(super) fn take_of_transaction(
        &mut self,
        now: Time,
        request: TransactionRequest,
        body: &[u8],
        cluster: &mut ClusterLayout,
    ) -> Result<(), FailureKind> {
        if matches!(request, TransactionRequest::Init) {
            return self.take_identity(now, body);
        }
        self.due = now;
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let used = transaction.take_response(now, request, body, cluster)?;
        let failure = transaction.failure();
        self.use_identity(used);
        if let Some(code) = failure {
            // The coordinator refused a partition: what waits for it cannot be sent.
            self.fail_all(now, code);
        }
        Ok(())
    }

    fn use_identity(&mut self, used: IdentityUse) {
        if used == IdentityUse::Renew {
            self.renew_identity();
        }
    }
}
