//! Every `sh` block succeeds unless it is marked, and prints the output that the page shows.

use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::expected::{has_lines, is_same_json};
use crate::markdown::{Block, Page, pages};
use crate::session::Session;

/// The treatment of a block.
#[derive(Debug, PartialEq, Eq)]
enum Treatment<'a> {
    /// Runs it, if the program it needs is installed.
    Run { needs: Option<&'a str> },
    /// Runs it in the background.
    Stream,
    /// Does not run it. If it starts a server, its variables apply to the blocks that follow.
    NoRun,
    /// Compares it with the output of the block before.
    Output { is_json: bool },
    /// Compares it with the lines that the last stream receives.
    Received,
    /// Saves it under this name.
    Save { name: &'a str },
    /// Ignores it.
    Show,
}

fn treatment(block: &Block) -> Result<Treatment<'_>> {
    let mut words = block.info.split(' ');
    let language = words.next().unwrap_or_default();
    let (word, rest) = (words.next(), words.next());
    Ok(match (language, word, rest) {
        ("sh", None, _) if block.text.starts_with("curl -N ") => Treatment::Stream,
        ("sh", None, _) => Treatment::Run { needs: None },
        ("sh", Some("no_run"), None) => Treatment::NoRun,
        ("sh", Some(word), None) if word.starts_with("needs=") => Treatment::Run {
            needs: word.strip_prefix("needs="),
        },
        ("text", Some("output"), None) => Treatment::Output { is_json: false },
        ("json", Some("output"), None) => Treatment::Output { is_json: true },
        ("text", Some("stream"), None) => Treatment::Received,
        ("js", None, _) => match file_name(&block.text) {
            Some(name) => Treatment::Save { name },
            None => Treatment::Show,
        },
        ("text" | "json" | "toml" | "yaml", None, _) => Treatment::Show,
        _ => bail!("the info string {:?} is unknown", block.info),
    })
}

/// Returns the name in a first line such as `// mint.mjs`.
fn file_name(text: &str) -> Option<&str> {
    let name = text.lines().next()?.strip_prefix("// ")?;
    name.ends_with(".mjs").then_some(name)
}

/// Returns the variables of a `cargo run --release -- --variable name=value …`.
fn variables(block: &str) -> Option<Vec<String>> {
    let words = block.split_whitespace();
    let variables = words.clone().zip(words.skip(1));
    let variables = variables.filter(|(option, _)| *option == "--variable");
    let variables = variables.map(|(_, value)| value.to_owned());
    block
        .contains("cargo run --release")
        .then(|| variables.collect())
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A reader who works through a page.
#[derive(Default)]
struct Reader {
    variables: Vec<String>,
    session: Option<Session>,
    /// The output of the last block; `None` if it was skipped.
    output: Option<String>,
    /// The number of blocks that were run.
    ran: usize,
}

impl Reader {
    async fn session(&mut self) -> &mut Session {
        if self.session.is_none() {
            self.session = Some(Session::start(&self.variables).await);
        }
        self.session.as_mut().unwrap()
    }

    async fn read(&mut self, block: &Block) -> Result<()> {
        match treatment(block)? {
            Treatment::Run {
                needs: Some(program),
            } if !is_installed(program) => {
                println!("skipped: {program} is not installed");
                self.output = None;
            }
            Treatment::Run { .. } => {
                self.output = Some(self.session().await.run(&block.text).await?);
                self.ran += 1;
            }
            Treatment::Stream => {
                self.session().await.stream(&block.text).await?;
                self.ran += 1;
            }
            Treatment::NoRun => {
                if let Some(variables) = variables(&block.text)
                    && variables != self.variables
                {
                    self.variables = variables;
                    self.session = None;
                }
            }
            Treatment::Output { is_json } => {
                let Some(output) = &self.output else {
                    return Ok(());
                };
                let is_met = if is_json { is_same_json } else { has_lines };
                ensure!(
                    is_met(output, &block.text),
                    "expected:\n{}\nprinted:\n{output}",
                    block.text
                );
            }
            Treatment::Received => self.session().await.receive_lines(&block.text).await?,
            Treatment::Save { name } => self.session().await.save(name, &block.text),
            Treatment::Show => {}
        }
        Ok(())
    }
}

/// Works through a page and returns the number of blocks that were run.
async fn work_through(page: &Page) -> usize {
    let mut reader = Reader::default();
    for block in page.blocks() {
        if let Err(problem) = reader.read(&block).await {
            panic!("{}:{}: {problem}", page.path.display(), block.line);
        }
    }
    reader.ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_succeeds_and_prints_the_output_on_its_page() {
    let mut ran = 0;
    for page in pages() {
        let of_page = work_through(&page).await;
        println!("{}: ran {of_page} blocks", page.path.display());
        ran += of_page;
    }
    assert!(ran > 8, "only {ran} blocks were run");
}

#[test]
fn an_unknown_info_string_is_an_error() {
    let block = |info: &str, text: &str| Block {
        line: 1,
        info: info.to_owned(),
        text: text.to_owned(),
    };
    for info in ["", "bash", "sh norun", "sh no_run x", "text expected"] {
        assert!(treatment(&block(info, "")).is_err(), "{info}");
    }
    let stream = block("sh", "curl -N http://x\n");
    assert_eq!(treatment(&stream).unwrap(), Treatment::Stream);
    let save = block("js", "// a.mjs\nlet b;\n");
    assert_eq!(treatment(&save).unwrap(), Treatment::Save { name: "a.mjs" });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_fails_or_prints_other_output_fails_the_test() {
    let url = "http://127.0.0.1:3000";
    for text in [
        "```sh\nfalse\n```\n".to_owned(),
        format!("```sh\ncurl {url}/nowhere\n```\n"),
        format!("```sh\ncurl {url}/health/live\n```\n```json output\n{{}}\n```\n"),
        format!("```sh\ncurl -N {url}/nowhere\n```\n"),
    ] {
        let page = Page {
            path: "page.md".into(),
            text,
        };
        let work = tokio::spawn(async move { work_through(&page).await });
        assert!(work.await.unwrap_err().is_panic());
    }
}
