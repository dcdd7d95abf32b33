//! Every relative link leads to a file in the repository, and every anchor to a heading.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::markdown::{Page, pages, root};

/// Resolves `target` against the folder of `page`, within the repository.
fn resolve(page: &Path, target: &str) -> Option<PathBuf> {
    let mut resolved = page.parent()?.to_owned();
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::Normal(name) => resolved.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// Returns the reason for which a link does not resolve, or `None` if it does.
fn broken(page: &Page, target: &str, pages: &[Page]) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.path.clone(),
        _ => match resolve(&page.path, file) {
            Some(path) if root().join(&path).exists() => path,
            _ => return Some(format!("there is no file {file:?}")),
        },
    };
    if anchor.is_empty() {
        return None;
    }
    let linked = pages.iter().find(|page| page.path == path);
    let anchors = linked.map_or(vec![], Page::anchors);
    let is_found = anchors.iter().any(|known| known == anchor);
    (!is_found).then(|| {
        format!(
            "{} has no anchor {anchor:?}, but {anchors:?}",
            path.display()
        )
    })
}

#[test]
fn every_link_and_anchor_resolves() {
    let pages = pages();
    let mut problems = vec![];
    for page in &pages {
        for (line, target) in page.link_targets() {
            if let Some(problem) = broken(page, &target, &pages) {
                problems.push(format!("{}:{line}: {problem}", page.path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_readme_links_to_every_page() {
    let pages = pages();
    let readme = pages
        .iter()
        .find(|page| page.path == Path::new("README.md"));
    let linked: BTreeSet<_> = readme
        .unwrap()
        .link_targets()
        .into_iter()
        .map(|(_, target)| PathBuf::from(target))
        .collect();
    for page in pages.iter().filter(|page| page.path.starts_with("docs")) {
        assert!(linked.contains(&page.path), "{}", page.path.display());
    }
}
