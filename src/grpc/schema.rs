//! Schemas: descriptors of services and messages, compiled from `.proto` files or read from a set.
//!
//! `scenario` makes them; methods and messages refer to them.
//! Invariant: a schema is complete: all types that it refers to are in it.

use std::io;
use std::path::PathBuf;

use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, SerializeOptions,
};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::ReadFile;

/// Descriptors of services and messages.
#[derive(Clone, Debug)]
pub struct Schema(DescriptorPool);

/// A type of messages.
#[derive(Clone, Debug)]
pub struct MessageType(MessageDescriptor);

impl Schema {
    /// Compiles `.proto` files, which are looked for by name in `folders`; imports, too.
    ///
    /// # Errors
    /// The compiler's words, with file and line.
    pub fn compile(
        names: &[String],
        folders: &[PathBuf],
        read: Box<ReadFile>,
    ) -> Result<Self, String> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(SourceFolders { folders: folders.to_vec(), read });
        // Those of google/protobuf are part of the compiler.
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        for name in names {
            // `Debug` has the place, `Display` the words alone.
            compiler.open_file(name).map_err(|error| format!("{error:?}"))?;
        }
        Ok(Self(compiler.descriptor_pool()))
    }

    /// Reads a set of descriptors, as `protoc --include_imports -o` writes it.
    ///
    /// # Errors
    /// Why it is no such set, or not a complete one.
    pub fn decode(set: &[u8]) -> Result<Self, String> {
        DescriptorPool::decode(set).map(Self).map_err(|error| error.to_string())
    }

    /// The name of a file of descriptors, and the names of those that it imports.
    ///
    /// # Errors
    /// Why it is no such file.
    pub fn names_in(file: &[u8]) -> Result<(String, Vec<String>), String> {
        let file = FileDescriptorProto::decode(file).map_err(|error| error.to_string())?;
        match file.name {
            Some(name) if !name.is_empty() => Ok((name, file.dependency)),
            _ => Err("it has no name".to_owned()),
        }
    }

    /// The descriptors of a file that the compiler has.
    pub fn known_file(name: &str) -> Option<Vec<u8>> {
        let file = GoogleFileResolver::new().open_file(name).ok()?;
        Some(file.file_descriptor_proto().encode_to_vec())
    }

    /// The names of all methods.
    pub fn method_names(&self) -> Vec<String> {
        let services = self.0.services();
        let of = |service: prost_reflect::ServiceDescriptor| {
            let name = service.full_name().to_owned();
            let methods: Vec<_> = service.methods().collect();
            methods.into_iter().map(move |method| format!("{name}/{}", method.name()))
        };
        services.flat_map(of).collect()
    }

    /// The types of the messages that a method, such as `shop.v1.Cart/Add`, gets and returns.
    pub fn messages_of(&self, name: &str) -> Option<[MessageType; 2]> {
        let method = self.find(name)?;
        Some([MessageType(method.input()), MessageType(method.output())])
    }

    /// Whether a method gets a stream of messages, and whether it returns one.
    pub fn streams_of(&self, name: &str) -> [bool; 2] {
        let method = self.find(name);
        method.map_or([false; 2], |method| {
            [method.is_client_streaming(), method.is_server_streaming()]
        })
    }

    /// Whether a method may be called twice without harm, as its option `idempotency_level` says.
    pub fn is_idempotent(&self, name: &str) -> bool {
        let options = self.find(name);
        let options = options.and_then(|method| method.method_descriptor_proto().options.clone());
        // 0: IDEMPOTENCY_UNKNOWN.
        options.is_some_and(|options| options.idempotency_level.unwrap_or(0) > 0)
    }

    fn find(&self, name: &str) -> Option<MethodDescriptor> {
        let (service, own) = name.split_once('/')?;
        let service = self.0.get_service_by_name(service)?;
        service.methods().find(|method| method.name() == own)
    }
}

impl MessageType {
    /// The type of all JSON values, in place of one that is not known yet.
    pub fn any() -> Option<Self> {
        DescriptorPool::global().get_message_by_name("google.protobuf.Value").map(Self)
    }

    /// Whether its JSON is not that of its fields, as of `google.protobuf.Timestamp`.
    pub fn has_own_json(&self) -> bool {
        self.0.package_name() == "google.protobuf"
    }

    /// Its name with its package.
    pub fn name(&self) -> &str {
        self.0.full_name()
    }

    /// The names of its fields, as its `.proto` file has them.
    pub fn field_names(&self) -> Vec<String> {
        self.0.fields().map(|field| field.name().to_owned()).collect()
    }

    /// The field of this name, as the `.proto` file or as JSON has it; within, the type of its
    /// messages if it has fields of its own in JSON.
    pub fn field(&self, name: &str) -> Option<Option<Self>> {
        let by_name = self.0.get_field_by_name(name);
        let field = by_name.or_else(|| self.0.get_field_by_json_name(name))?;
        Some(match field.kind() {
            Kind::Message(message) if !field.is_map() => {
                // Types such as Timestamp have JSON of their own.
                (message.package_name() != "google.protobuf").then_some(Self(message))
            }
            _ => None,
        })
    }

    /// Encodes a message that is given as JSON; a field may have its name of the `.proto` file.
    ///
    /// # Errors
    /// Why the JSON is no such message.
    pub fn encode(&self, json: &[u8]) -> Result<Vec<u8>, String> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let message = DynamicMessage::deserialize(self.0.clone(), &mut reader);
        let message = message.and_then(|message| reader.end().map(|()| message));
        message.map(|message| message.encode_to_vec()).map_err(|error| words(&error))
    }

    /// The JSON of an encoded message, with all fields that have a default value.
    ///
    /// # Errors
    /// Why the bytes are no such message.
    pub fn to_json(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let message = DynamicMessage::decode(self.0.clone(), bytes);
        let message = message.map_err(|error| error.to_string())?;
        let mut json = Vec::new();
        let options = SerializeOptions::new().skip_default_fields(false);
        message
            .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
            .map_err(|error| words(&error))?;
        Ok(json)
    }
}

/// An error without its place in a text that no file has.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.clone(), |at| text[..at].to_owned())
}

/// The folders in which files are looked for.
struct SourceFolders {
    folders: Vec<PathBuf>,
    read: Box<ReadFile>,
}

impl FileResolver for SourceFolders {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        for folder in &self.folders {
            let path = folder.join(name);
            let bytes = (self.read)(&path);
            let bytes = bytes.map_err(|why| protox::Error::new(io::Error::other(why)))?;
            if let Some(bytes) = bytes {
                let text = String::from_utf8(bytes).map_err(|_| {
                    let why = format!("{} is not UTF-8 text", path.display());
                    protox::Error::new(io::Error::other(why))
                })?;
                return File::from_source(name, &text);
            }
        }
        Err(protox::Error::file_not_found(name))
    }
}
