//! The OpenAPI description, queried by JSON pointers.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use boon::{Compiler, Schemas};
use serde_json::{Value, json};

/// The file that the server embeds.
pub(super) const FILE: &str = include_str!("../../../../src/openapi.json");

/// The JSON schema of OpenAPI 3.1 documents, published by the OpenAPI Initiative (Apache-2.0).
const OPENAPI_SCHEMA: &str = include_str!("schema-3.1.json");

/// The base URI of the schemas. Nothing is loaded from it.
const BASE_URI: &str = "https://runnel.example/openapi.json";

/// The description with its compiled schemas.
pub(super) struct Description {
    document: Value,
    schemas: Schemas,
    compiler: Compiler,
}

impl Description {
    /// Parses the description. Its object schemas do not allow additional properties here.
    pub(super) fn new() -> Self {
        let document: Value = serde_json::from_str(FILE).unwrap();
        let mut strict = document.clone();
        for schema in strict["components"]["schemas"]
            .as_object_mut()
            .unwrap()
            .values_mut()
        {
            if schema["type"] == "object" {
                schema["additionalProperties"] = json!(false);
            }
        }
        let mut compiler = Compiler::new();
        compiler.add_resource(BASE_URI, strict).unwrap();
        Self {
            document,
            schemas: Schemas::new(),
            compiler,
        }
    }

    pub(super) const fn document(&self) -> &Value {
        &self.document
    }

    /// Returns the value at a pointer. Panics if there is none.
    #[track_caller]
    pub(super) fn at(&self, pointer: &str) -> &Value {
        let value = self.document.pointer(pointer);
        value.unwrap_or_else(|| panic!("{pointer} does not exist"))
    }

    /// Follows the references at `pointer`, if any, and returns the pointer to their target.
    pub(super) fn resolve(&self, pointer: &str) -> String {
        match self.at(pointer)["$ref"].as_str() {
            Some(reference) => self.resolve(reference.strip_prefix('#').unwrap()),
            None => pointer.to_owned(),
        }
    }

    /// Returns the names of the members at a pointer, or none if it does not exist.
    pub(super) fn members(&self, pointer: &str) -> Vec<String> {
        let members = self.document.pointer(pointer).and_then(Value::as_object);
        members.map_or(vec![], |members| members.keys().cloned().collect())
    }

    /// Returns all operations, as pairs of method and path.
    pub(super) fn operations(&self) -> Vec<(String, String)> {
        let paths = self.members("/paths").into_iter();
        let operations = paths.flat_map(|path| {
            let methods = self.members(&member("/paths", &path)).into_iter();
            let methods = methods.filter(|name| !["parameters", "description"].contains(&&**name));
            methods
                .map(|method| (method.to_uppercase(), path.clone()))
                .collect::<Vec<_>>()
        });
        operations.collect()
    }

    /// Returns the parameters of an operation, as pairs of location (`query`, `header` or `path`) and
    /// name.
    pub(super) fn parameters(&self, method: &str, path: &str) -> BTreeSet<(String, String)> {
        let path = member("/paths", path);
        [path.clone(), member(&path, &method.to_lowercase())]
            .iter()
            .flat_map(|parent| {
                let list = self.document.pointer(&format!("{parent}/parameters"));
                let count = list.and_then(Value::as_array).map_or(0, Vec::len);
                (0..count).map(move |index| format!("{parent}/parameters/{index}"))
            })
            .map(|pointer| {
                let parameter = self.at(&self.resolve(&pointer));
                let text = |name: &str| parameter[name].as_str().unwrap().to_owned();
                (text("in"), text("name"))
            })
            .collect()
    }

    /// Returns the described response statuses of an operation.
    pub(super) fn statuses(&self, method: &str, path: &str) -> Vec<String> {
        let operation = member(&member("/paths", path), &method.to_lowercase());
        self.members(&member(&operation, "responses"))
    }

    /// Returns whether an operation always requires a token.
    pub(super) fn needs_token(&self, method: &str, path: &str) -> bool {
        let operation = member(&member("/paths", path), &method.to_lowercase());
        let schemes = self.at(&operation)["security"].as_array();
        schemes.is_some_and(|schemes| !schemes.contains(&json!({})))
    }

    /// Returns the pointer to the response of an operation with a status, or `None` if not described.
    pub(super) fn response(&self, method: &str, path: &str, status: &str) -> Option<String> {
        let operation = member(&member("/paths", path), &method.to_lowercase());
        let response = member(&member(&operation, "responses"), status);
        let is_described = self.document.pointer(&response).is_some();
        is_described.then(|| self.resolve(&response))
    }

    /// Validates a value against the schema at a pointer.
    pub(super) fn check(&mut self, pointer: &str, value: &Value) -> Result<()> {
        let location = format!("{BASE_URI}#{pointer}");
        let schema = self.compiler.compile(&location, &mut self.schemas);
        let schema = schema.map_err(|error| anyhow!("{pointer}: {error:#}"))?;
        let checked = self.schemas.validate(value, schema);
        checked.map_err(|error| anyhow!("{pointer}: {value}: {error}"))
    }

    /// Returns every node of the document with its pointer.
    pub(super) fn nodes(&self) -> Vec<(String, Value)> {
        let mut nodes = vec![(String::new(), self.document.clone())];
        let mut next = 0;
        while let Some((pointer, node)) = nodes.get(next).cloned() {
            next += 1;
            match node {
                Value::Object(members) => nodes.extend(
                    members
                        .into_iter()
                        .map(|(name, value)| (member(&pointer, &name), value)),
                ),
                Value::Array(items) => nodes.extend(
                    items
                        .into_iter()
                        .enumerate()
                        .map(|(index, value)| (format!("{pointer}/{index}"), value)),
                ),
                _ => {}
            }
        }
        nodes
    }
}

/// Returns the pointer to a member of the object at `pointer` (RFC 6901).
pub(super) fn member(pointer: &str, name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{name}")
}

/// Validates a document against the schema of OpenAPI 3.1.
pub(super) fn check_openapi(document: &Value) -> Result<()> {
    let schema: Value = serde_json::from_str(OPENAPI_SCHEMA).unwrap();
    let id = schema["$id"].as_str().unwrap().to_owned();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(&id, schema).unwrap();
    let schema = compiler.compile(&id, &mut schemas).unwrap();
    let checked = schemas.validate(document, schema);
    checked.map_err(|error| anyhow!("{error}"))
}
