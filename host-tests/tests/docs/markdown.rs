//! The pages, and a parser for the parts of Markdown that they use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(crate) struct Page {
    /// Relative to the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A fenced code block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of the opening fence, from 1.
    pub(crate) line: usize,
    pub(crate) info: String,
    pub(crate) text: String,
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap()
}

/// Returns README.md and every page in docs/, in order of their names.
pub(crate) fn pages() -> Vec<Page> {
    let root = root();
    let mut paths = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name();
        if Path::new(&name).extension().is_some_and(|end| end == "md") {
            paths.push(Path::new("docs").join(name));
        }
    }
    paths.sort();
    let page = |path: PathBuf| Page {
        text: fs::read_to_string(root.join(&path)).unwrap(),
        path,
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    /// Returns the fenced code blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = vec![];
        let mut is_open = false;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), is_open) {
                (Some(info), false) => blocks.push(Block {
                    line: number + 1,
                    info: info.to_owned(),
                    text: String::new(),
                }),
                (Some(_), true) => {}
                (None, true) => {
                    let text = &mut blocks.last_mut().unwrap().text;
                    text.push_str(line);
                    text.push('\n');
                    continue;
                }
                (None, false) => continue,
            }
            is_open = !is_open;
        }
        assert!(
            !is_open,
            "{}: a code block is not closed",
            self.path.display()
        );
        blocks
    }

    /// Returns the lines outside code blocks, with their numbers from 1.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut is_code = false;
        let numbered = self.text.lines().enumerate();
        let prose = numbered.filter(|(_, line)| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        });
        prose.map(|(number, line)| (number + 1, line)).collect()
    }

    /// Returns the anchors of the headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut seen = BTreeMap::<String, usize>::new();
        let headings = self.prose().into_iter().filter_map(|(_, line)| {
            let heading = line.trim_start_matches('#');
            (heading.len() < line.len())
                .then(|| heading.strip_prefix(' '))
                .flatten()
        });
        let anchors = headings.map(|heading| {
            let slug = slug(heading);
            let earlier = seen.entry(slug.clone()).or_default();
            *earlier += 1;
            match *earlier {
                1 => slug,
                times => format!("{slug}-{}", times - 1),
            }
        });
        anchors.collect()
    }

    /// Returns the targets of links and images, with the numbers of their lines.
    pub(crate) fn link_targets(&self) -> Vec<(usize, String)> {
        let mut targets = vec![];
        for (number, line) in self.prose() {
            let line = without_code_spans(line);
            for (start, _) in line.match_indices("](") {
                let rest = &line[start + 2..];
                let end = rest.find(')').expect("a link target is closed in its line");
                targets.push((number, rest[..end].to_owned()));
            }
        }
        targets
    }
}

/// Returns the anchor that GitHub gives a heading: in lower case, with letters, digits, `-` and `_` kept
/// and spaces as `-`.
pub(crate) fn slug(heading: &str) -> String {
    let lower = heading.trim().to_lowercase();
    let kept = lower.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.collect()
}

/// Returns a line of prose without its `code`.
fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page {
            path: PathBuf::from("page.md"),
            text: text.to_owned(),
        }
    }

    #[test]
    fn slugs_follow_github() {
        assert_eq!(slug("HTTP API"), "http-api");
        assert_eq!(slug("`jwt_key`"), "jwt_key");
        assert_eq!(slug("Costs, limits & *more*"), "costs-limits--more");
        let page = page("# A\n## B\n## B\n```sh\n# not a heading\n```\n#neither\n");
        assert_eq!(page.anchors(), ["a", "b", "b-1"]);
    }

    #[test]
    fn blocks_have_their_info_text_and_line() {
        let page = page("text\n\n```sh no_run\none\n\ntwo\n```\nmore\n");
        let block = Block {
            line: 3,
            info: "sh no_run".into(),
            text: "one\n\ntwo\n".into(),
        };
        assert_eq!(page.blocks(), [block]);
        assert_eq!(page.prose(), [(1, "text"), (2, ""), (8, "more")]);
    }

    #[test]
    fn links_in_code_are_no_links() {
        let page = page("a [`b`](c.md#d) and `[e](f)`, ![g](h.png)\n```text\n[i](j)\n```\n");
        let expected = [(1, "c.md#d".to_owned()), (1, "h.png".to_owned())];
        assert_eq!(page.link_targets(), expected);
    }
}
