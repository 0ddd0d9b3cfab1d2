//! Server reflection: which files of descriptors a server has, asked one by one.
//!
//! `run::reflection` sends the requests and feeds the replies. Source: reflection.proto of gRPC,
//! whose two versions differ by their package.
//! Invariant: each file is asked for once; files and bytes are bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::method::GrpcMethod;
use super::schema::Schema;

/// Maximum files of a server.
const MAX_FILES: usize = 2_000;

/// Maximum descriptors of a server, bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Maximum text of a server that an error shows, bytes.
const MAX_TEXT: usize = 300;

/// What the names of files begin with that the compiler has.
const KNOWN: &str = "google/protobuf/";

/// The service, as its specification defines it, of the parts that are used here.
const SOURCE: &str = r#"
syntax = "proto3";
package PACKAGE;

message ServerReflectionRequest {
  oneof message_request {
    string file_by_filename = 3;
    string file_containing_symbol = 4;
    string list_services = 7;
  }
}

message ServerReflectionResponse {
  oneof message_response {
    FileDescriptorResponse file_descriptor_response = 4;
    ListServiceResponse list_services_response = 6;
    ErrorResponse error_response = 7;
  }
}

message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
message ListServiceResponse { repeated ServiceResponse service = 1; }
message ServiceResponse { string name = 1; }
message ErrorResponse { int32 error_code = 1; string error_message = 2; }

service ServerReflection {
  rpc ServerReflectionInfo(stream ServerReflectionRequest)
      returns (stream ServerReflectionResponse);
}
"#;

/// What servers have told: a set of descriptors, or why there is none, by the name of the service.
pub type ReflectedSets = BTreeMap<String, Result<Arc<[u8]>, String>>;

/// A version of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReflectionVersion {
    /// The current one.
    V1,
    /// Its predecessor, which many servers have alone.
    V1Alpha,
}

/// Why a server's files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReflectionError {
    /// A reply is none of the service.
    #[error("a reply of the server is none of reflection")]
    Foreign,
    /// There are too many files.
    #[error("the server has more than {MAX_FILES} files of descriptors")]
    Files,
    /// The files are too large.
    #[error("the server's descriptors exceed {} MiB", MAX_BYTES >> 20)]
    Bytes,
    /// The server lists nothing.
    #[error("the server lists no services")]
    Empty,
    /// The server does not have what it named.
    #[error("the server has no descriptors of `{0}`: {1}")]
    Missing(String, String),
    /// A file cannot be read.
    #[error("a file of descriptors is malformed: {0}")]
    Malformed(String),
    /// Files import each other.
    #[error("files of descriptors import each other in a loop: {0}")]
    Loop(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ReflectionRequest {
    Services,
    Symbol(String),
    File(String),
}

#[derive(Debug)]
struct ReflectedFile {
    bytes: Vec<u8>,
    imports: Vec<String>,
}

/// The files of a server, as far as they are known.
#[derive(Debug)]
pub struct ReflectedFiles {
    files: BTreeMap<String, ReflectedFile>,
    size: usize,
    waiting: VecDeque<ReflectionRequest>,
    /// The request whose reply comes next.
    sent: Option<ReflectionRequest>,
    asked: BTreeSet<String>,
}

/// The method of a version; `None` in a binary without gRPC.
pub fn method(version: ReflectionVersion) -> Option<GrpcMethod> {
    let package = match version {
        ReflectionVersion::V1 => "grpc.reflection.v1",
        ReflectionVersion::V1Alpha => "grpc.reflection.v1alpha",
    };
    let source = SOURCE.replace("PACKAGE", package).into_bytes();
    let read = Box::new(move |_: &_| Ok(Some(source.clone())));
    let names = ["reflection.proto".to_owned()];
    let schema = Schema::compile(&names, &[PathBuf::new()], read).ok()?;
    GrpcMethod::find(&schema, &format!("{package}.ServerReflection/ServerReflectionInfo"))
}

impl Default for ReflectedFiles {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            size: 0,
            waiting: [ReflectionRequest::Services].into(),
            sent: None,
            asked: BTreeSet::new(),
        }
    }
}

impl ReflectedFiles {
    /// The next request, as JSON; `None`: all files are known.
    pub fn next_request(&mut self) -> Option<Vec<u8>> {
        let request = loop {
            match self.waiting.pop_front()? {
                ReflectionRequest::File(name) if self.files.contains_key(&name) => {}
                request => break request,
            }
        };
        let json = match &request {
            ReflectionRequest::Services => json!({ "listServices": "*" }),
            ReflectionRequest::Symbol(name) => json!({ "fileContainingSymbol": name }),
            ReflectionRequest::File(name) => json!({ "fileByFilename": name }),
        };
        self.sent = Some(request);
        Some(json.to_string().into_bytes())
    }

    /// Takes the reply to the last request, as JSON.
    ///
    /// # Errors
    /// If it is none, or if the server's files cannot be used.
    pub fn take(&mut self, reply: &[u8]) -> Result<(), ReflectionError> {
        let reply: Value = serde_json::from_slice(reply).map_err(|_| ReflectionError::Foreign)?;
        let sent = self.sent.take().ok_or(ReflectionError::Foreign)?;
        let member = |name: &str| reply.get(name).filter(|value| !value.is_null());
        if let Some(error) = member("errorResponse") {
            return self.take_error(&sent, error);
        }
        match (&sent, member("listServicesResponse"), member("fileDescriptorResponse")) {
            (ReflectionRequest::Services, Some(list), _) => self.take_services(list),
            (ReflectionRequest::Symbol(_) | ReflectionRequest::File(_), _, Some(list)) => {
                self.take_files(list)
            }
            _ => Err(ReflectionError::Foreign),
        }
    }

    fn take_error(
        &mut self,
        sent: &ReflectionRequest,
        error: &Value,
    ) -> Result<(), ReflectionError> {
        let name = match sent {
            ReflectionRequest::Services => "*",
            ReflectionRequest::Symbol(name) | ReflectionRequest::File(name) => name,
        };
        // Servers leave out what each compiler has.
        if let (ReflectionRequest::File(name), true) = (sent, name.starts_with(KNOWN))
            && let Some(bytes) = Schema::known_file(name)
        {
            return self.add(bytes);
        }
        let text = error["errorMessage"].as_str().unwrap_or_default();
        let text = match (text, error["errorCode"].as_i64()) {
            ("", code) => format!("status {}", code.unwrap_or(2)),
            (text, _) => text[..text.floor_char_boundary(MAX_TEXT)].to_owned(),
        };
        Err(ReflectionError::Missing(name.to_owned(), text))
    }

    fn take_services(&mut self, list: &Value) -> Result<(), ReflectionError> {
        let services = list["service"].as_array().ok_or(ReflectionError::Foreign)?;
        if services.len() > MAX_FILES {
            return Err(ReflectionError::Files);
        }
        let names = services.iter().filter_map(|service| service["name"].as_str());
        // Reflection is no service that a load is for.
        let names = names.filter(|name| !name.starts_with("grpc.reflection."));
        self.waiting.extend(names.map(|name| ReflectionRequest::Symbol(name.to_owned())));
        if self.waiting.is_empty() { Err(ReflectionError::Empty) } else { Ok(()) }
    }

    fn take_files(&mut self, list: &Value) -> Result<(), ReflectionError> {
        let files = list["fileDescriptorProto"].as_array().ok_or(ReflectionError::Foreign)?;
        for file in files {
            let text = file.as_str().ok_or(ReflectionError::Foreign)?;
            let bytes = STANDARD.decode(text).map_err(|_| ReflectionError::Foreign)?;
            self.add(bytes)?;
        }
        Ok(())
    }

    /// Adds a file, and asks for those that it imports.
    fn add(&mut self, bytes: Vec<u8>) -> Result<(), ReflectionError> {
        let (name, imports) = Schema::names_in(&bytes).map_err(ReflectionError::Malformed)?;
        if self.files.contains_key(&name) {
            return Ok(());
        }
        self.size += bytes.len();
        if self.size > MAX_BYTES {
            return Err(ReflectionError::Bytes);
        }
        for import in &imports {
            if !self.files.contains_key(import) && self.asked.insert(import.clone()) {
                self.waiting.push_back(ReflectionRequest::File(import.clone()));
            }
        }
        self.files.insert(name, ReflectedFile { bytes, imports });
        if self.files.len() + self.waiting.len() > MAX_FILES {
            return Err(ReflectionError::Files);
        }
        Ok(())
    }

    /// The files as a set of descriptors, imported ones first.
    ///
    /// # Errors
    /// If files import each other, or one is missing.
    pub fn into_set(self) -> Result<Vec<u8>, ReflectionError> {
        let (mut done, mut set) = (BTreeSet::new(), Vec::new());
        for name in self.files.keys() {
            // A path through the imports, with the next import of each of its files.
            let mut path: Vec<(&str, usize)> = vec![(name, 0)];
            while let Some((name, next)) = path.last_mut() {
                let name = *name;
                let file = self.files.get(name).ok_or_else(|| {
                    let why = "it is imported, and was not sent".to_owned();
                    ReflectionError::Missing(name.to_owned(), why)
                })?;
                match file.imports.get(*next).filter(|_| !done.contains(name)) {
                    Some(import) => {
                        *next += 1;
                        if let Some(at) = path.iter().position(|(one, _)| one == import) {
                            let names = path[at..].iter().map(|(one, _)| *one);
                            let names: Vec<&str> = names.chain([import.as_str()]).collect();
                            return Err(ReflectionError::Loop(names.join(" → ")));
                        }
                        path.push((import, 0));
                    }
                    None => {
                        if done.insert(name) {
                            write_file(&file.bytes, &mut set);
                        }
                        path.pop();
                    }
                }
            }
        }
        Ok(set)
    }
}

/// Appends a file to a set: field 1, whose value has a length.
fn write_file(bytes: &[u8], set: &mut Vec<u8>) {
    set.push(0x0a);
    let mut length = bytes.len();
    while length >= 0x80 {
        set.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    set.push(length as u8);
    set.extend(bytes);
}
