//! Records, whole and damaged, and frames at every split.

use super::api::{KafkaApi, KafkaFrames, OfferedVersions, put_request};
use super::record_batch::{NewRecord, OpenBatch, ProducerIdentity};
use super::record_reader::{FetchedBatches, header_lines};
use crate::plan::kafka::KafkaCompression;
use crate::stats::FailureKind;

/// A batch of these keys and values.
fn batch(records: &[(Option<&str>, &str)], compression: KafkaCompression) -> Vec<u8> {
    let mut open = OpenBatch::default();
    let headers = [("trace".to_owned(), "a\r\nb".to_owned())];
    let mut lengths = Vec::new();
    for (at, (key, value)) in records.iter().enumerate() {
        let record = NewRecord {
            key: key.map(str::as_bytes),
            value: value.as_bytes(),
            headers: if at == 0 { &headers } else { &[] },
            timestamp: 1_700_000_000_000 + at as i64 * 100,
        };
        let length = open.length_with(&record);
        open.add(&record);
        lengths.push(length);
    }
    let mut out = Vec::new();
    let closed = open.close(compression);
    closed.put(&mut out, ProducerIdentity { id: 7, epoch: 1, is_transactional: false }, 40);
    assert_eq!(closed.length(), out.len());
    if compression == KafkaCompression::None {
        assert_eq!(lengths.last(), Some(&out.len()), "the length is known before");
    }
    out
}

/// Offset, key, value and header lines of each record, and the offset that follows.
fn read(bytes: &[u8]) -> Result<(Vec<String>, Option<i64>), FailureKind> {
    read_committed(bytes, &[])
}

/// As [`read`], without the records of these transactions.
fn read_committed(bytes: &[u8], aborted: &[u8]) -> Result<(Vec<String>, Option<i64>), FailureKind> {
    let mut shown = Vec::new();
    let mut batches = FetchedBatches::new(bytes, 100_000, aborted)?;
    let mut next = None;
    let mut each = |record: super::record_reader::FetchedRecord<'_>| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut lines = Vec::new();
        header_lines(&record, &mut lines);
        let key = record.key.map_or_else(|| "-".to_owned(), text);
        let (value, lines) = (text(record.value), text(&lines));
        let offset = record.offset;
        shown.push(format!("{offset} {key} {value} {lines}").trim_end().to_owned());
    };
    while let Some(after) = batches.next(&mut each)? {
        next = Some(after);
    }
    Ok((shown, next))
}

const RECORDS: [(Option<&str>, &str); 3] = [(Some("k"), "one"), (None, "two"), (Some(""), "")];

#[test]
fn records_are_read_as_they_were_written() {
    for compression in [
        KafkaCompression::None,
        KafkaCompression::Gzip,
        KafkaCompression::Snappy,
        KafkaCompression::Lz4,
        KafkaCompression::Zstd,
    ] {
        let mut bytes = batch(&RECORDS, compression);
        // A broker numbers the first record of a batch.
        bytes[..8].copy_from_slice(&90_i64.to_be_bytes());
        let second = batch(&[(None, "x")], compression);
        let mut both = [bytes.clone(), second.clone()].concat();
        let place = bytes.len();
        both[place..place + 8].copy_from_slice(&93_i64.to_be_bytes());
        let (shown, next) = read(&both).unwrap();
        let last = "93 - x trace: a  b";
        assert_eq!(shown, ["90 k one trace: a  b", "91 - two", "92", last], "{compression:?}");
        assert_eq!(next, Some(94));
        // A batch that a broker cut off is left for the next fetch.
        for cut in [place, place + 5, place + 11, both.len() - 1] {
            let (shown, next) = read(&both[..cut]).unwrap();
            assert_eq!((shown.len(), next), (3, Some(93)), "{compression:?} at {cut}");
        }
    }
}

#[test]
fn damaged_batches_are_refused() {
    let good = batch(&RECORDS, KafkaCompression::None);
    for place in 21..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 0x10;
        assert_eq!(read(&damaged), Err(FailureKind::CorruptMessage), "byte {place}");
    }
    let mut other_format = good.clone();
    other_format[16] = 1;
    assert_eq!(read(&other_format), Err(FailureKind::BadReply));
    let mut negative = good.clone();
    negative[8..12].copy_from_slice(&(-5_i32).to_be_bytes());
    assert_eq!(read(&negative), Err(FailureKind::BadReply));
    let mut before_all = good.clone();
    before_all[..8].copy_from_slice(&(-1_i64).to_be_bytes());
    assert_eq!(read(&before_all), Err(FailureKind::BadReply));
    // A correct checksum over records that are none.
    let with = |attributes: i16, count: i32, records: &[u8]| {
        let mut bytes = good[..61].to_vec();
        bytes.extend_from_slice(records);
        let length = bytes.len() as i32 - 12;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        read(&bytes)
    };
    assert_eq!(with(0, i32::MAX, &[0; 40]), Err(FailureKind::BadReply));
    assert_eq!(with(0, 1, b"\xfe\xff\xff\xff\x0f"), Err(FailureKind::BadReply));
    assert_eq!(with(1, 1, b"no gzip"), Err(FailureKind::BadReply));
    assert_eq!(with(7, 1, b""), Err(FailureKind::BadReply));
    // The end of a transaction has no messages.
    assert_eq!(with(0x20, 1, b"anything"), Ok((Vec::new(), Some(3))));
}

#[test]
fn frames_are_joined_however_they_are_split() {
    let frame = |number: i32, body: &[u8]| {
        let length = (body.len() as i32 + 4).to_be_bytes();
        [&length[..], &number.to_be_bytes(), body].concat()
    };
    let bytes = [frame(1, b"first"), frame(2, b""), frame(3, &[7; 300])].concat();
    for size in 1..=bytes.len() {
        let mut frames = KafkaFrames::new(1_000);
        let mut found = Vec::new();
        for piece in bytes.chunks(size) {
            let mut each = |number, body: &[u8]| {
                found.push((number, body.to_vec()));
                Ok(())
            };
            frames.feed(piece, &mut each).unwrap();
        }
        let wanted = [(1, b"first".to_vec()), (2, Vec::new()), (3, vec![7; 300])];
        assert_eq!(found, wanted, "pieces of {size}");
        assert!(frames.is_empty());
    }
    let fed = |bytes: &[u8]| KafkaFrames::new(1_000).feed(bytes, &mut |_, _| Ok(()));
    assert_eq!(fed(&1_001_i32.to_be_bytes()), Err(FailureKind::MessageTooLarge));
    assert_eq!(fed(&3_i32.to_be_bytes()), Err(FailureKind::BadReply));
    assert_eq!(fed(&(-1_i32).to_be_bytes()), Err(FailureKind::BadReply));
}

#[test]
fn what_a_broker_lacks_is_named() {
    let offer = |versions: &[(i16, i16, i16)]| {
        let mut body = vec![0; 2];
        body.extend_from_slice(&(versions.len() as i32).to_be_bytes());
        for (key, least, most) in versions {
            [key, least, most].iter().for_each(|part| body.extend_from_slice(&part.to_be_bytes()));
        }
        OfferedVersions::read(&body).unwrap().missing
    };
    let all: Vec<_> = (0..40).map(|key| (key, 0, 20)).collect();
    assert_eq!(offer(&all), "");
    let mut some = all.clone();
    some[0] = (0, 8, 11);
    some.remove(11);
    assert_eq!(offer(&some), "Produce 7, JoinGroup 4");
    let mut out = Vec::new();
    put_request(&mut out, KafkaApi::Heartbeat, 9, |out| out.push(1));
    assert_eq!(out, b"\0\0\0\x11\0\x0c\0\x02\0\0\0\x09\0\x06manada\x01");
}

/// A batch of one record, `value`, at `offset`, with these attributes, of this producer.
fn batch_at(offset: i64, attributes: i16, producer: i64, value: &str) -> Vec<u8> {
    let mut open = OpenBatch::default();
    let record = NewRecord { key: None, value: value.as_bytes(), headers: &[], timestamp: 0 };
    open.add(&record);
    let identity = ProducerIdentity { id: producer, epoch: 0, is_transactional: true };
    let mut out = Vec::new();
    open.close(KafkaCompression::None).put(&mut out, identity, 0);
    out[..8].copy_from_slice(&offset.to_be_bytes());
    out[21..23].copy_from_slice(&attributes.to_be_bytes());
    let checksum = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&checksum.to_be_bytes());
    out
}

#[test]
fn records_of_aborted_transactions_are_left_out_up_to_their_mark() {
    const TRANSACTED: i16 = 0x10;
    const MARK: i16 = 0x30;
    let log: Vec<u8> = [
        batch_at(0, 0, -1, "plain"),
        batch_at(1, TRANSACTED, 7, "committed"),
        batch_at(2, MARK, 7, "commit"),
        batch_at(3, TRANSACTED, 7, "aborted"),
        batch_at(4, TRANSACTED, 8, "of another"),
        batch_at(5, TRANSACTED, 7, "aborted, too"),
        batch_at(6, MARK, 7, "abort"),
        batch_at(7, TRANSACTED, 7, "the next"),
        batch_at(8, MARK, 7, "commit"),
        batch_at(9, 0, 7, "outside"),
    ]
    .concat();
    let aborted = [7_i64.to_be_bytes(), 3_i64.to_be_bytes()].concat();
    let values = |found: Vec<String>| -> Vec<String> {
        found.iter().map(|line| line.split_once(" - ").unwrap().1.to_owned()).collect()
    };
    let (all, next) = read(&log).unwrap();
    assert_eq!((all.len(), next), (7, Some(10)), "marks are no messages");
    let (found, next) = read_committed(&log, &aborted).unwrap();
    assert_eq!(values(found), ["plain", "committed", "of another", "the next", "outside"]);
    assert_eq!(next, Some(10));
    // A fetch may begin within the transaction.
    let (found, _) = read_committed(&log[batch_at(0, 0, -1, "plain").len()..], &aborted).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(read_committed(&log, &aborted[..9]), Err(FailureKind::BadReply));
}
