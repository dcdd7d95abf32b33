//! What the description says, looked up by JSON pointers.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

/// The file that the server was built with.
pub(super) const FILE: &str = include_str!("../../../../src/openapi.json");

/// The schema of OpenAPI 3.1 documents, as the OpenAPI Initiative publishes it (Apache-2.0).
const OPENAPI: &str = include_str!("schema-3.1.json");

/// Where the schemas are known to be; nothing is loaded from there.
const HERE: &str = "https://runnel.example/openapi.json";

/// The description, and its schemas as they are compiled.
pub(super) struct Description {
    document: Value,
    schemas: Schemas,
    compiler: Compiler,
}

impl Description {
    /// The description, read strictly: where it describes an object, it describes all of it.
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
        compiler.add_resource(HERE, strict).unwrap();
        Self {
            document,
            schemas: Schemas::new(),
            compiler,
        }
    }

    pub(super) const fn document(&self) -> &Value {
        &self.document
    }

    /// What is at a pointer that must lead somewhere.
    #[track_caller]
    pub(super) fn at(&self, pointer: &str) -> &Value {
        let found = self.document.pointer(pointer);
        found.unwrap_or_else(|| panic!("there is no {pointer}"))
    }

    /// Follows the reference at `pointer`, if there is one, to what it is about.
    pub(super) fn resolve(&self, pointer: &str) -> String {
        match self.at(pointer)["$ref"].as_str() {
            Some(reference) => self.resolve(reference.strip_prefix('#').unwrap()),
            None => pointer.to_owned(),
        }
    }

    /// The names of the members at a pointer; none if it leads nowhere.
    pub(super) fn members(&self, pointer: &str) -> Vec<String> {
        let members = self.document.pointer(pointer).and_then(Value::as_object);
        members.map_or(vec![], |members| members.keys().cloned().collect())
    }

    /// All operations: method and path.
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

    /// The parameters of an operation: `query`, `header` or `path`, and the name.
    pub(super) fn parameters(&self, method: &str, path: &str) -> BTreeSet<(String, String)> {
        let path = member("/paths", path);
        [path.clone(), member(&path, &method.to_lowercase())]
            .iter()
            .flat_map(|at| {
                let list = self.document.pointer(&format!("{at}/parameters"));
                let count = list.and_then(Value::as_array).map_or(0, Vec::len);
                (0..count).map(move |place| format!("{at}/parameters/{place}"))
            })
            .map(|at| {
                let parameter = self.at(&self.resolve(&at));
                let text = |name: &str| parameter[name].as_str().unwrap().to_owned();
                (text("in"), text("name"))
            })
            .collect()
    }

    /// The statuses that an operation is answered with.
    pub(super) fn statuses(&self, method: &str, path: &str) -> Vec<String> {
        let operation = member(&member("/paths", path), &method.to_lowercase());
        self.members(&member(&operation, "responses"))
    }

    /// Whether an operation always needs a token.
    pub(super) fn needs_token(&self, method: &str, path: &str) -> bool {
        let operation = member(&member("/paths", path), &method.to_lowercase());
        let ways = self.at(&operation)["security"].as_array();
        ways.is_some_and(|ways| !ways.contains(&json!({})))
    }

    /// The pointer to the response of an operation with a status; `None` if it is not described.
    pub(super) fn response(&self, method: &str, path: &str, status: &str) -> Option<String> {
        let operation = member(&member("/paths", path), &method.to_lowercase());
        let response = member(&member(&operation, "responses"), status);
        let described = self.document.pointer(&response).is_some();
        described.then(|| self.resolve(&response))
    }

    /// Holds a value against the schema at a pointer.
    pub(super) fn check(&mut self, pointer: &str, value: &Value) -> Result<(), String> {
        let location = format!("{HERE}#{pointer}");
        let schema = self.compiler.compile(&location, &mut self.schemas);
        let schema = schema.map_err(|error| format!("{pointer}: {error:#}"))?;
        let checked = self.schemas.validate(value, schema);
        checked.map_err(|error| format!("{pointer}: {value}: {error}"))
    }

    /// The pointers to everything, and what is there.
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
                        .map(|(place, value)| (format!("{pointer}/{place}"), value)),
                ),
                _ => {}
            }
        }
        nodes
    }
}

/// The pointer to a member of what is at `pointer` (RFC 6901).
pub(super) fn member(pointer: &str, name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{name}")
}

/// Holds a document against the schema of OpenAPI 3.1.
pub(super) fn check_openapi(document: &Value) -> Result<(), String> {
    let schema: Value = serde_json::from_str(OPENAPI).unwrap();
    let id = schema["$id"].as_str().unwrap().to_owned();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(&id, schema).unwrap();
    let schema = compiler.compile(&id, &mut schemas).unwrap();
    let checked = schemas.validate(document, schema);
    checked.map_err(|error| format!("{error}"))
}
