//! The `grpc` key of a service: its descriptors.
//!
//! `services` calls it.
//! Invariant: descriptors are compiled once, when the scenario is loaded, from files that the
//! scenario may read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::FileRole;
use crate::grpc::{GrpcSettings, Schema};
use crate::plan::transport::{PingInterval, TransportConfig};
use crate::protocol::Protocol;
use crate::scenario::nouns::grpc_service::GRPC_SERVICE;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::files::is_readable;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::{source, values};

/// The methods and settings of a service, if it speaks gRPC and has them; sets the pings of its
/// connections.
pub(super) fn of_service(
    diagnostics: &mut Diagnostics,
    (name, service, fields): (&str, &Node, &mut Fields<'_>),
    (protocol, transport): (Protocol, &mut TransportConfig),
) -> Option<Arc<GrpcSettings>> {
    report_absent(diagnostics, service, protocol);
    let node = fields.take("grpc").filter(|_| cfg!(feature = "grpc"))?;
    Some(settings(diagnostics, (name, node), transport))
}

/// Reads the descriptors and settings of a service.
fn settings(
    diagnostics: &mut Diagnostics,
    (name, node): (&str, &Node),
    transport: &mut TransportConfig,
) -> Arc<GrpcSettings> {
    let Some(mut fields) = Fields::read(diagnostics, node, &GRPC_SERVICE) else {
        return Arc::new(GrpcSettings {
            schema: None,
            compress: false,
            max_message: GrpcSettings::MAX_MESSAGE,
            lacks_reflection: false,
        });
    };
    let proto = fields.take("proto");
    let include = fields.take("include");
    let descriptors = fields.take("descriptors");
    let reflection = fields.take("reflection");
    let max_message = fields.value(diagnostics, "max_message").unwrap_or(GrpcSettings::MAX_MESSAGE);
    let compress = fields.value(diagnostics, "compress").unwrap_or(false);
    let after = fields.value(diagnostics, "ping");
    let pong = fields.value(diagnostics, "pong").unwrap_or(PingInterval::PONG);
    transport.ping = after.map(|after| PingInterval { after, pong });
    fields.finish(diagnostics);
    let mut lacks_reflection = false;
    let schema = match (proto, descriptors, reflection) {
        (Some(node), None, None) => compile(diagnostics, node, include),
        (None, Some(node), None) => decode(diagnostics, node),
        (None, None, Some(node)) => match diagnostics.reflected.get(name).cloned() {
            Some(found) => reflected(diagnostics, node, found),
            None => {
                lacks_reflection = true;
                diagnostics.warn(
                    node.span,
                    format!("the methods of `{name}` are those that its server tells"),
                    "`run` and `check --once` ask it; nothing was sent now, so that methods and \
                     messages of its steps were not checked",
                );
                None
            }
        },
        _ => {
            diagnostics
                .mistake(node.span, "a service of gRPC has one source of its methods")
                .expected("one of `proto`, `descriptors` and `reflection: true`");
            None
        }
    };
    let schema = schema.map(Arc::new);
    Arc::new(GrpcSettings { schema, compress, max_message, lacks_reflection })
}

/// The methods that a server has told, or why it did not.
fn reflected(
    diagnostics: &mut Diagnostics,
    node: &Node,
    found: Result<Arc<[u8]>, String>,
) -> Option<Schema> {
    let schema = found.and_then(|set| Schema::decode(&set));
    schema
        .map_err(|why| {
            diagnostics
                .mistake(node.span, format!("the server does not tell its methods: {why}"))
                .expected("a server with the service grpc.reflection.v1.ServerReflection")
                .help("enable it there, or give `proto` or `descriptors` instead");
        })
        .ok()
}

fn decode(diagnostics: &mut Diagnostics, node: &Node) -> Option<Schema> {
    let path = values::file(diagnostics, node)?;
    let bytes = source::bytes(diagnostics, &path, FileRole::Schema, node.span)?;
    let schema = Schema::decode(&bytes);
    schema
        .map_err(|why| {
            diagnostics
                .mistake(node.span, format!("{}: {why}", path.display()))
                .expected("a set of descriptors, as `protoc --include_imports -o FILE` writes it");
        })
        .ok()
}

fn compile(diagnostics: &mut Diagnostics, node: &Node, include: Option<&Node>) -> Option<Schema> {
    let before = diagnostics.count();
    let mut folders = Vec::new();
    for item in include.map(values::one_or_more).unwrap_or_default() {
        let folder = values::plain_text(diagnostics, item, "a folder");
        let places = diagnostics.folders(item.span);
        folders.extend(folder.map(|folder| places[0].join(folder)));
    }
    let mut names = Vec::new();
    for item in values::one_or_more(node) {
        if let Some(path) = values::file(diagnostics, item) {
            let name = name_of(&path, &mut folders);
            names.push(name);
        }
    }
    if diagnostics.count() > before {
        return None;
    }
    let (files, readable) = (diagnostics.files.clone(), diagnostics.readable.clone());
    let read = move |path: &Path| {
        if !files.is_file(path) {
            return Ok(None);
        }
        if !is_readable(&files, &readable, path) {
            return Err(format!(
                "`{}` is outside the folders that a scenario may read; allow its folder with \
                 `--allow-files`, or `files:` in your safety file",
                path.display()
            ));
        }
        let bytes = source::contents(&files, path, FileRole::Schema);
        bytes.map(Some).map_err(|(why, _)| format!("{}: {why}", path.display()))
    };
    let schema = Schema::compile(&names, &folders, Box::new(read));
    schema
        .map_err(|why| {
            // A mistake in an import is one of the first file.
            let items = values::one_or_more(node).iter().zip(&names);
            let is_in =
                |name: &str| why.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
            let item = items.clone().find(|(_, name)| is_in(name)).or(items.clone().next());
            let has_import = why.contains("import");
            let mistake = diagnostics.mistake(item.map_or(node, |(item, _)| item).span, why);
            if has_import {
                mistake
                    .help("imports are looked for in `include`, and beside the files of `proto`");
            }
        })
        .ok()
}

/// Reports a service of gRPC in a binary without it.
pub(super) fn report_absent(diagnostics: &mut Diagnostics, node: &Node, protocol: Protocol) {
    if protocol == Protocol::Grpc && !cfg!(feature = "grpc") {
        diagnostics
            .mistake(node.span, "this binary was built without gRPC")
            .help("build with `--features grpc`");
    }
}

/// The name by which a file is imported: below one of the folders; else its own folder is added.
fn name_of(path: &Path, folders: &mut Vec<PathBuf>) -> String {
    let name = |path: &Path| path.to_string_lossy().into_owned();
    if let Some(below) = folders.iter().find_map(|folder| path.strip_prefix(folder).ok()) {
        return name(below);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    folders.push(folder.to_path_buf());
    path.file_name().map_or_else(String::new, |file| name(Path::new(file)))
}
