//! The development server: Runnel on `http://127.0.0.1:3000` with one command, without Spin.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cli;
mod publish_token;
mod variable_source;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use runnel_host::output::{ProcessOutput, Target};
use runnel_host::store::Sqlite;
use runnel_host::{Application, BuildMode, Host, HostError, Manifest, Server, ServerOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal;

use cli::{Cli, merge_variables};
use publish_token::PublishToken;

/// The time that the last lines may take to be written at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = match ProcessOutput::start() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("error: cannot write to standard output and standard error: {error}");
            return ExitCode::FAILURE;
        }
    };
    log_panics(output.clone());
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let result = runtime.block_on(run(cli, &output));
            // Leave the runtime to the end of the process. Waiting for it would hang on a guest that
            // computes without end, and dropping it would make the timers of live instances panic.
            std::mem::forget(runtime);
            result
        });
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&output, Target::Stderr, &format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    };
    // Lines that nobody reads within this time are lost.
    _ = output.flush(FLUSH_TIMEOUT);
    code
}

/// Writes panics to `output`. The default hook would wait for a log that nobody reads.
fn log_panics(output: ProcessOutput) {
    std::panic::set_hook(Box::new(move |panic| {
        let line = match Backtrace::capture() {
            backtrace if backtrace.status() == BacktraceStatus::Captured => {
                format!("{panic}\n{backtrace}")
            }
            _ => panic.to_string(),
        };
        print(&output, Target::Stderr, &line);
    }));
}

/// Prints a line. If it is dropped, the log says so.
fn print(output: &ProcessOutput, target: Target, line: &str) {
    _ = output.line(target, line);
}

async fn run(cli: Cli, output: &ProcessOutput) -> Result<()> {
    // Checks that are cheap come before the build.
    let listener = bind(cli.listen).await?;
    let store = Sqlite::open(&cli.state_dir, "default")?;
    let data_file = store.file().display().to_string();

    let build_mode = if cli.no_build {
        BuildMode::Skip
    } else {
        BuildMode::Build
    };
    let path = cli.from.clone();
    let application =
        tokio::task::spawn_blocking(move || Application::load(path.as_deref(), build_mode))
            .await
            .context("the build was interrupted")??;

    let mut variables = merge_variables(application.manifest(), &cli.variables, |name| {
        std::env::var(name).ok()
    })?;
    let token = PublishToken::resolve(application.manifest(), &mut variables, &cli.state_dir)?;
    let missing = application.manifest().missing_variables(&variables);
    ensure!(
        missing.is_empty(),
        "no value is given for: {} (use --variable NAME=VALUE)",
        missing.join(", ")
    );
    let host = build_host(&application, store, &variables, output.clone())?;
    let defaults = ServerOptions::default();
    let options = ServerOptions {
        head_timeout: cli.head_timeout,
        idle_timeout: cli.idle_timeout,
        serves_without_host: cli.serve_without_host,
        write_timeout: cli.write_timeout,
        grace_period: cli.grace_period,
        max_connections: cli
            .max_connections
            .map_or(defaults.max_connections, |max| max as usize),
        ..defaults
    };
    let server = Server::start(&host, listener, options).context("the listener has no address")?;
    // A program that reads the announcement may stop this one at once.
    let mut signals = StopSignals::catch()?;
    let base = base_path(application.manifest(), &variables);
    announce(output, &server, &base, token.as_ref(), &data_file);
    signals.next().await?;
    stop(output, server, signals).await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; choose another address with --listen, \
             or a free port with --listen {}:0",
            address.ip()
        )
    })
}

fn build_host(
    application: &Arc<Application>,
    store: Sqlite,
    variables: &BTreeMap<String, String>,
    output: ProcessOutput,
) -> Result<Host, HostError> {
    let mut builder = Host::builder(application)
        .store(Arc::new(store))
        .output(output);
    for (name, value) in variables {
        builder = builder.variable(name, value);
    }
    builder.build()
}

/// Prints the addresses, the publish token and the first commands to try. A program that started this
/// one can read the address from a pipe.
fn announce(
    output: &ProcessOutput,
    server: &Server,
    base: &str,
    token: Option<&PublishToken>,
    data_file: &str,
) {
    let url = format!("http://{}{base}", reachable(server.address()));
    let mut lines = vec![
        format!("Runnel is listening on http://{}", server.address()),
        String::new(),
        format!("  console page   {url}/"),
    ];
    if let Some(token) = token {
        lines.push(format!("  publish token  {}", token.for_display()));
    }
    lines.push(format!("  data           {data_file}"));
    if let Some(token) = token {
        lines.extend([
            String::new(),
            "Subscribe in one terminal and publish from another:".to_owned(),
            String::new(),
            format!("  curl -N {url}/events/demo"),
            String::new(),
            format!(
                "  curl -X POST -H \"authorization: Bearer {}\" -H \"content-type: text/plain\" \
                 --data 'hello' {url}/publish/demo",
                token.for_command()
            ),
        ]);
    }
    lines.extend([String::new(), "Ctrl-C stops it.".to_owned()]);
    for line in lines {
        print(output, Target::Stdout, &line);
    }
}

/// Returns the path below which the application serves Runnel: the value of `base_path`, written as the
/// component reads it. Empty for the root, and if the application has no such variable.
fn base_path(manifest: &Manifest, variables: &BTreeMap<String, String>) -> String {
    let default = manifest.variables.get("base_path");
    let default = default.and_then(|variable| variable.default.as_ref());
    let path = variables.get("base_path").or(default);
    match path.map(|path| path.trim_matches('/')) {
        None | Some("") => String::new(),
        Some(path) => format!("/{path}"),
    }
}

/// Replaces the unspecified address, which stands for all of the machine's, by one that works in a
/// link.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The signals that stop the server: Ctrl-C and, on Unix, SIGTERM. They are caught as soon as this exists.
struct StopSignals {
    #[cfg(unix)]
    interrupt: signal::unix::Signal,
    #[cfg(unix)]
    terminate: signal::unix::Signal,
}

impl StopSignals {
    #[cfg(unix)]
    fn catch() -> Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?,
        })
    }

    #[cfg(not(unix))]
    fn catch() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> Result<()> {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        signal::ctrl_c().await.context("cannot watch for Ctrl-C")?;
        Ok(())
    }
}

/// Shuts down gracefully, or at once on a second signal.
async fn stop(output: &ProcessOutput, server: Server, mut signals: StopSignals) {
    print(
        output,
        Target::Stdout,
        "Stopping: open streams end after their current event. Ctrl-C again stops at once.",
    );
    tokio::select! {
        () = server.shutdown() => {}
        _ = signals.next() => {}
    }
}
