//! A scripted broker of Kafka: it reads whole requests, and answers as its test says.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A request as the broker reads it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: i16,
    pub(crate) body: Vec<u8>,
}

/// What the broker does with a request.
pub(crate) enum Answer {
    /// It sends this body.
    Body(Vec<u8>),
    /// It sends these bytes, which are no response.
    Raw(Vec<u8>),
    Close,
}

/// Keys of requests.
pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const LIST_OFFSETS: i16 = 2;
pub(crate) const METADATA: i16 = 3;
pub(crate) const API_VERSIONS: i16 = 18;

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
}

pub(crate) fn int(value: i32) -> [u8; 4] {
    value.to_be_bytes()
}

/// Starts a broker, whose number is 1; `answer` gets its address and each request.
pub(crate) fn broker(
    answer: impl Fn(SocketAddr, &Request) -> Answer + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            thread::spawn(move || serve(stream, |request| answer(address, request)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: impl Fn(&Request) -> Answer) {
    stream.set_nodelay(true).unwrap();
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).unwrap();
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let request = Request { key, body: frame[10 + "manada".len()..].to_vec() };
        let number = frame[4..8].to_vec();
        match answer(&request) {
            Answer::Body(body) => {
                let length = (body.len() as u32 + 4).to_be_bytes();
                let _ = stream.write_all(&[&length[..], &number, &body].concat());
            }
            Answer::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
            }
            Answer::Close => return,
        }
    }
}

pub(crate) fn versions() -> Vec<u8> {
    let all = (0..40_i16).flat_map(|key| [key.to_be_bytes(), [0, 0], [0, 20]].concat());
    [&[0, 0][..], &int(40), &all.collect::<Vec<u8>>()].concat()
}

/// One broker at this address, and a topic of one partition, or why it has none.
pub(crate) fn metadata(host: &str, port: u16, topic: &str, error: i16) -> Vec<u8> {
    let node = [&int(1)[..], &text(host), &int(port.into()), &[0xff, 0xff]].concat();
    let partition = [&[0, 0][..], &int(0), &int(1), &int(1), &int(1), &int(1), &int(1)].concat();
    let partitions = if error == 0 { [&int(1)[..], &partition].concat() } else { int(0).to_vec() };
    let topic = [&error.to_be_bytes()[..], &text(topic), &[0], &partitions].concat();
    [&int(0)[..], &int(1), &node, &[0xff, 0xff], &int(1), &int(1), &topic].concat()
}

/// The response for partition 0 of a topic.
pub(crate) fn produced(topic: &str, error: i16) -> Vec<u8> {
    let partition = [&int(0)[..], &error.to_be_bytes(), &[0; 24]].concat();
    [&int(1)[..], &text(topic), &int(1), &partition, &int(0)].concat()
}

/// A fetch that returned these batches of partition 0.
pub(crate) fn fetched(error: i16, records: &[u8]) -> Vec<u8> {
    let partition = [
        &int(0)[..],
        &error.to_be_bytes(),
        &9_i64.to_be_bytes(),
        &[0; 16],
        &int(0),
        &int(-1),
        &int(records.len() as i32),
        records,
    ]
    .concat();
    [&int(0)[..], &[0, 0], &int(0), &int(1), &text("t"), &int(1), &partition].concat()
}

pub(crate) fn offsets(offset: i64) -> Vec<u8> {
    let partition = [&int(0)[..], &[0, 0], &[0xff; 8], &offset.to_be_bytes()].concat();
    [&int(0)[..], &int(1), &text("t"), &int(1), &partition].concat()
}
