//! The development server: Runnel on `http://127.0.0.1:3000` with one command, without Spin.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cli;
mod token;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use runnel_host::store::Sqlite;
use runnel_host::{Application, Build, Host, ServeOptions, Server};
use tokio::net::TcpListener;
use tokio::signal;

use cli::{Cli, given_variables};
use token::Token;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(cli));
            // The end of the process ends it. Waiting for it, a guest that computes without end would keep
            // the process; taking it down, the timers of instances that are still there would panic.
            std::mem::forget(runtime);
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    // What is cheap to find out comes before the build.
    let listener = bind(cli.listen).await?;
    let store = Sqlite::open(&cli.state_dir, "default")?;
    let data = store.file().display().to_string();

    let build = if cli.no_build {
        Build::Skip
    } else {
        Build::Run
    };
    let from = cli.from.clone();
    let application =
        tokio::task::spawn_blocking(move || Application::load(from.as_deref(), build))
            .await
            .context("the build was interrupted")??;

    let mut variables = given_variables(application.manifest(), &cli.variables, |name| {
        std::env::var(name).ok()
    })?;
    let token = Token::settle(application.manifest(), &mut variables, &cli.state_dir)?;
    let missing = application.manifest().missing_variables(&variables);
    ensure!(
        missing.is_empty(),
        "no value is given for: {} (use --variable NAME=VALUE)",
        missing.join(", ")
    );
    let host = host(&application, store, &variables)?;
    let options = ServeOptions {
        head_timeout: cli.head_timeout,
        write_timeout: cli.write_timeout,
        ..ServeOptions::default()
    };
    let server = host.serve_with(listener, options)?;
    announce(&server, token.as_ref(), &data);
    wait_for_a_signal().await?;
    stop(server).await;
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

fn host(
    application: &Arc<Application>,
    store: Sqlite,
    variables: &BTreeMap<String, String>,
) -> Result<Host> {
    let mut builder = Host::builder(application).store(Arc::new(store));
    for (name, value) in variables {
        builder = builder.variable(name, value);
    }
    builder.build()
}

/// Says where everything is. Standard output is flushed at every line, so that a program that
/// started this one can read the address from a pipe.
fn announce(server: &Server, token: Option<&Token>, data: &str) {
    let mut address = server.address();
    if address.ip().is_unspecified() {
        // Every address of the machine: name one that works in a link.
        let loopback = if address.is_ipv4() {
            "127.0.0.1"
        } else {
            "::1"
        };
        address.set_ip(loopback.parse().unwrap_or(address.ip()));
    }
    let url = format!("http://{address}");
    let mut lines = vec![
        format!("Runnel is listening on http://{}", server.address()),
        String::new(),
        format!("  console page   {url}/"),
    ];
    if let Some(token) = token {
        lines.push(format!("  publish token  {}", token.shown()));
    }
    lines.push(format!("  data           {data}"));
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
                token.in_a_command()
            ),
        ]);
    }
    lines.extend([String::new(), "Ctrl-C stops it.".to_owned()]);
    let mut out = io::stdout().lock();
    for line in lines {
        // Whoever closed the pipe does not want to know.
        _ = writeln!(out, "{line}");
    }
}

/// Waits for Ctrl-C or, where there is one, SIGTERM.
async fn wait_for_a_signal() -> Result<()> {
    #[cfg(unix)]
    {
        use signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        tokio::select! {
            pressed = signal::ctrl_c() => pressed.context("cannot watch for Ctrl-C"),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    signal::ctrl_c().await.context("cannot watch for Ctrl-C")
}

/// Stops cleanly, unless a second signal says that it has to be now.
async fn stop(server: Server) {
    let mut out = io::stdout();
    _ = writeln!(
        out,
        "Stopping: open streams end after their current event. Ctrl-C again stops at once."
    );
    tokio::select! {
        () = server.shutdown() => {}
        _ = wait_for_a_signal() => {}
    }
}
