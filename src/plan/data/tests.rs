//! Rows are assigned exactly: in turn, once, in an order from the seed; large files as small ones.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::*;
use crate::ids::WorkloadId;
use crate::plan::data::sanitize::ColumnRules;
use crate::template::Value;

fn feed(rows: u64, pick: RowPick, at_end: AtEnd) -> Feed {
    let rows = (0..rows).map(|row| Value::from_pairs([("n", row)])).collect();
    let rows = Arc::new(Rows::inline(rows, ColumnRules::default()).unwrap());
    Feed { name: "account".into(), rows, source: "inline".into(), pick, at_end }
}

fn seed() -> Seed {
    Seed::new(11).unwrap()
}

#[test]
fn each_pick_assigns_its_rows() {
    let assigned = |pick, at_end| -> Vec<Option<u64>> {
        let feed = feed(3, pick, at_end);
        (0..7).map(|item| feed.row_of(seed(), WorkloadId::default(), item)).collect()
    };
    let (some, none) = (|n| Some(n), None);
    for pick in [RowPick::Queue, RowPick::Unique] {
        let stopped = [some(0), some(1), some(2), none, none, none, none];
        assert_eq!(assigned(pick, AtEnd::Stop), stopped, "{pick:?}");
        assert_eq!(assigned(pick, AtEnd::StopRun), stopped, "{pick:?}");
    }
    let round = [some(0), some(1), some(2), some(0), some(1), some(2), some(0)];
    assert_eq!(assigned(RowPick::Circular, AtEnd::Stop), round);
    assert_eq!(assigned(RowPick::Queue, AtEnd::Wrap), round);
    assert!(
        assigned(RowPick::Random, AtEnd::Stop).iter().all(|row| row.is_some_and(|row| row < 3))
    );
    assert_eq!(assigned(RowPick::Shuffle, AtEnd::Stop).iter().flatten().count(), 3);
    assert_eq!(assigned(RowPick::Shuffle, AtEnd::Wrap).iter().flatten().count(), 7);
}

#[test]
fn shuffle_is_a_new_permutation_in_each_round() {
    for rows in [1, 2, 3, 4, 5, 17, 100, 1_000, 4_097] {
        let feed = feed(rows, RowPick::Shuffle, AtEnd::Wrap);
        let round = |number: u64| -> Vec<u64> {
            let items = number * rows..(number + 1) * rows;
            items.map(|item| feed.row_of(seed(), WorkloadId::default(), item).unwrap()).collect()
        };
        let (first, second) = (round(0), round(1));
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len() as u64, rows);
        assert_eq!(second.iter().collect::<BTreeSet<_>>().len() as u64, rows);
        if rows > 10 {
            assert_ne!(first, second, "{rows} rows");
            let sorted: Vec<u64> = (0..rows).collect();
            assert_ne!(first, sorted);
        }
    }
}

/// Each position of a shuffled list is equally likely for each row: χ² over 6 × 6 cells, 25
/// degrees of freedom, stays below its 99.9 % point of 52.6.
#[test]
fn shuffle_is_uniform() {
    let feed = feed(6, RowPick::Shuffle, AtEnd::Wrap);
    let mut cells = [[0u32; 6]; 6];
    for round in 0..6_000 {
        for place in 0..6u64 {
            let row = feed.row_of(seed(), WorkloadId::default(), round * 6 + place).unwrap();
            cells[place as usize][row as usize] += 1;
        }
    }
    let expected = 1_000.0;
    let deviation = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    let chi: f64 = cells.iter().flatten().map(deviation).sum();
    assert!(chi < 52.6, "{chi}: {cells:?}");
}

#[test]
fn indexed_file_has_the_same_rows_as_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (mark, none) = (&b"\xef\xbb\xbf"[..], &b""[..]);
    for (format, name, mark, head) in [
        (Format::Csv, "rows.csv", none, "id,text\n"),
        (Format::Csv, "marked.csv", mark, "id,text\n"),
        (Format::Csv, "quoted.csv", mark, "\"id\",text\n"),
        (Format::Json, "rows.jsonl", none, ""),
        (Format::Json, "marked.jsonl", mark, ""),
    ] {
        let path = folder.path().join(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        file.write_all(mark).unwrap();
        file.write_all(head.as_bytes()).unwrap();
        for row in 0..1_000 {
            match format {
                // A quoted line break: a row is not a line.
                Format::Csv => write!(file, "{row},\"a \"\"{row}\"\",\r\nb\"\r\n"),
                Format::Json => writeln!(file, "{{\"id\":\"{row}\",\"text\":[{row}]}}\n"),
            }
            .unwrap();
        }
        drop(file);
        let small = Rows::read(std::fs::File::open(&path).unwrap(), format, ColumnRules::default())
            .unwrap();
        let large =
            Rows::index(std::fs::File::open(&path).unwrap(), format, ColumnRules::default())
                .unwrap();
        assert_eq!((small.len(), large.len()), (1_000, 1_000), "{name}");
        assert_eq!(small.columns().unwrap(), ["id", "text"]);
        if format == Format::Csv {
            assert_eq!(large.columns().unwrap(), ["id", "text"]);
        }
        for row in [0, 1, 31, 32, 33, 500, 999] {
            let (small, large) = (small.get(row).unwrap(), large.get(row).unwrap());
            assert_eq!(small.to_string(), large.to_string(), "{name} row {row}");
            assert_eq!(small.get_attr("id").unwrap().to_string(), row.to_string());
        }
    }
}

#[test]
fn malformed_files_report_reason_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, why) in [
        ("a.csv", "", "no rows"),
        ("a.csv", "id,name\n", "no rows"),
        ("a.csv", "id,name\n1,a\n2\n", "line 3: 1 cell for 2 columns"),
        ("a.csv", "id,name,id\n1,a,2\n", "duplicate column `id`"),
        ("a.json", "[]", "no rows"),
        ("a.json", "[1]", "line 1: item 1 is not an object such as {\"name\": \"Ana\"}"),
        ("a.json", "{\"a\":1}\nx\n", "line 2: expected value at line 1 column 1"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let format = if name.ends_with("csv") { Format::Csv } else { Format::Json };
        let error = Rows::read(std::fs::File::open(&path).unwrap(), format, ColumnRules::default())
            .unwrap_err();
        assert_eq!(error.to_string(), why, "{text:?}");
        let large =
            Rows::index(std::fs::File::open(&path).unwrap(), format, ColumnRules::default());
        assert!(large.is_err(), "{text:?}");
    }
}
