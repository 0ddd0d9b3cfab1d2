//! Spans and log records as requests of OTLP.
//!
//! The exporter calls it.
//! Invariant: a request has at most [`MAX_ITEMS`] spans or records; each is in one request.

use prost::Message;

use super::messages::{
    LogsRequest, OtlpLogRecord, OtlpSpan, ResourceLogs, ResourceMessage, ResourceSpans, ScopeLogs,
    ScopeMessage, ScopeSpans, TracesRequest,
};

/// Maximum number of spans or log records in a request: what the client libraries of OpenTelemetry
/// send at once.
const MAX_ITEMS: usize = 512;

/// Encodes spans.
pub(super) fn traces(resource: &ResourceMessage, spans: Vec<OtlpSpan>) -> Vec<Vec<u8>> {
    let request = |spans| {
        let scopes = vec![ScopeSpans { scope: Some(ScopeMessage::own()), spans }];
        let resource = ResourceSpans { resource: Some(resource.clone()), scopes };
        TracesRequest { resources: vec![resource] }.encode_to_vec()
    };
    parts(spans).map(request).collect()
}

/// Encodes log records.
pub(super) fn logs(resource: &ResourceMessage, records: Vec<OtlpLogRecord>) -> Vec<Vec<u8>> {
    let request = |records| {
        let scopes = vec![ScopeLogs { scope: Some(ScopeMessage::own()), records }];
        let resource = ResourceLogs { resource: Some(resource.clone()), scopes };
        LogsRequest { resources: vec![resource] }.encode_to_vec()
    };
    parts(records).map(request).collect()
}

/// Divides items into those of each request.
fn parts<T>(items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = items.by_ref().take(MAX_ITEMS).collect();
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::super::messages::{AttributeMessage, SpanEvent, SpanKind, SpanLink, SpanStatus};
    use super::*;

    fn resource() -> ResourceMessage {
        ResourceMessage { attributes: vec![AttributeMessage::new("service.name", "m")] }
    }

    /// The fields of a message by number, read without `prost`: number and bytes, or the value of
    /// a field of fixed size or a varint.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..64).step_by(7) {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        }
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    all.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => varint(&mut bytes) as usize,
                5 => 4,
                kind => panic!("wire type {kind}"),
            };
            let (value, rest) = bytes.split_at(length);
            all.push((key >> 3, value.to_vec()));
            bytes = rest;
        }
        all
    }

    /// The only field of this number.
    fn field(bytes: &[u8], number: u64) -> Vec<u8> {
        let mut all = fields(bytes).into_iter().filter(|(known, _)| *known == number);
        let value = all.next().unwrap_or_else(|| panic!("no field {number} in {bytes:?}")).1;
        assert_eq!(all.next(), None);
        value
    }

    #[test]
    fn a_span_has_the_fields_of_the_protocol() {
        let span = OtlpSpan {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: "s=1".to_owned(),
            parent_span_id: vec![3; 8],
            name: "GET /".to_owned(),
            kind: SpanKind::Client.into(),
            start: 10,
            end: 20,
            attributes: vec![AttributeMessage::new("n", 7)],
            dropped_attributes: 4,
            events: vec![SpanEvent { at: 15, name: "sent".to_owned(), attributes: Vec::new() }],
            dropped_events: 5,
            links: vec![SpanLink {
                trace_id: vec![9; 16],
                span_id: vec![8; 8],
                attributes: vec![],
            }],
            status: Some(SpanStatus { message: "503".to_owned(), code: 2 }),
            flags: 1,
        };
        let request = traces(&resource(), vec![span]).remove(0);
        let spans = field(&request, 1);
        assert_eq!(field(&field(&field(&spans, 1), 1), 1), b"service.name");
        let scope = field(&spans, 2);
        assert_eq!(field(&field(&scope, 1), 1), b"manada");
        let span = field(&scope, 2);
        assert_eq!([field(&span, 1), field(&span, 2)], [vec![1; 16], vec![2; 8]]);
        assert_eq!((field(&span, 3), field(&span, 4)), (b"s=1".to_vec(), vec![3; 8]));
        assert_eq!(field(&span, 5), b"GET /");
        let numbers = [(6, 3u64), (7, 10), (8, 20), (10, 4), (12, 5)];
        for (number, value) in numbers {
            assert_eq!(field(&span, number), value.to_le_bytes(), "field {number}");
        }
        assert_eq!(field(&field(&field(&span, 9), 2), 3), 7u64.to_le_bytes());
        assert_eq!(field(&field(&span, 11), 2), b"sent");
        assert_eq!(field(&field(&span, 13), 2), vec![8; 8]);
        let status = field(&span, 15);
        assert_eq!(
            (field(&status, 2), field(&status, 3)),
            (b"503".to_vec(), 2u64.to_le_bytes().into())
        );
        assert_eq!(field(&span, 16), 1u32.to_le_bytes());
    }

    #[test]
    fn a_log_record_has_the_fields_of_the_protocol() {
        let record = OtlpLogRecord {
            at: 5,
            severity: 13,
            severity_text: "WARN".to_owned(),
            body: Some("open".into()),
            attributes: vec![AttributeMessage::new("share", 0.5)],
            flags: 1,
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            observed: 6,
            event_name: "manada.breaker".to_owned(),
        };
        let request = logs(&resource(), vec![record]).remove(0);
        let record = field(&field(&field(&request, 1), 2), 2);
        for (number, value) in [(1, 5u64), (2, 13), (11, 6)] {
            assert_eq!(field(&record, number), value.to_le_bytes(), "field {number}");
        }
        assert_eq!(field(&record, 3), b"WARN");
        assert_eq!(field(&field(&record, 5), 1), b"open");
        assert_eq!(field(&field(&field(&record, 6), 2), 4), 0.5f64.to_le_bytes());
        assert_eq!(field(&record, 8), 1u32.to_le_bytes());
        assert_eq!((field(&record, 9), field(&record, 10)), (vec![1; 16], vec![2; 8]));
        assert_eq!(field(&record, 12), b"manada.breaker");
    }

    #[test]
    fn many_records_are_several_requests() {
        let record = |at| OtlpLogRecord { at, ..OtlpLogRecord::default() };
        let records = (0..=2 * MAX_ITEMS as u64).map(record).collect();
        let requests = logs(&resource(), records);
        let times = requests.iter().map(|request| {
            let request = LogsRequest::decode(&**request).unwrap();
            let records = &request.resources[0].scopes[0].records;
            records.iter().map(|record| record.at).collect::<Vec<_>>()
        });
        let times: Vec<Vec<u64>> = times.collect();
        assert_eq!(times.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_ITEMS, MAX_ITEMS, 1]);
        assert!(times.concat().into_iter().eq(0..=2 * MAX_ITEMS as u64));
        assert!(logs(&resource(), Vec::new()).is_empty());
    }
}
