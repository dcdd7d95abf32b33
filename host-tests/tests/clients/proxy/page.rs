//! The responses of the proxy itself.

use std::path::Path;

/// The path of an empty page.
pub(crate) const PAGE: &str = "/page";

/// Returns the response to a request for the page, or for a module of npm below `/modules/`.
pub(super) fn response(path: &str, modules: Option<&Path>) -> Vec<u8> {
    let found = if path == PAGE {
        Some((
            "text/html",
            b"<!doctype html><title>client</title>".to_vec(),
        ))
    } else {
        let module = path.strip_prefix("/modules/").zip(modules);
        module
            .and_then(|(name, folder)| read(&folder.join("node_modules").join(name)))
            .map(|text| ("text/javascript", text))
    };
    let (status, (kind, body)) = match found {
        Some(found) => ("200 OK", found),
        None => ("404 Not Found", ("text/plain", vec![])),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

/// Reads a module. Like a bundler, accepts a name without `.js`.
fn read(file: &Path) -> Option<Vec<u8>> {
    let module = std::fs::read(file);
    module
        .or_else(|_| std::fs::read(file.with_extension("js")))
        .ok()
}
