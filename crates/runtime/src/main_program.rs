//! The `main` of every service that runs as a process of its own.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::service::{Assembly, Context, Definition};
use crate::settings::Settings;
use crate::start::{StartError, bind, start};

/// Runs a service until Ctrl-C or SIGTERM, then lets running calls end. The
/// first line on standard output is the address it listens on.
pub fn run<B>(settings: &Settings, definition: Definition<B>) -> ExitCode
where
    B: FnOnce(&Context) -> Result<Assembly, StartError>,
{
    log_to_stderr();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("can't start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(settings, definition)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve<B>(settings: &Settings, definition: Definition<B>) -> Result<ExitCode, StartError>
where
    B: FnOnce(&Context) -> Result<Assembly, StartError>,
{
    let listener = bind(settings.listen).await?;
    let mut running = start(settings, listener, definition).await?;
    // Whoever started the process with port 0 reads this line; where nobody
    // reads it, nothing is lost.
    let _ = writeln!(
        std::io::stdout(),
        "{} listens on {}",
        running.name(),
        running.address()
    );
    let input_ended = input_ended(settings.end_with_input);
    tokio::select! {
        () = async { tokio::select! { () = asked_to_end() => {}, () = input_ended => {} } } => {
            // Whoever asks a second time does not want to wait.
            tokio::select! {
                () = running.stop() => {}
                () = asked_to_end() => {}
            }
            Ok(ExitCode::SUCCESS)
        }
        () = running.ended() => Ok(ExitCode::FAILURE),
    }
}

/// Waits until standard input ends, where that is wanted: for ever where not.
async fn input_ended(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread of its own: a read that nothing ends would hold the runtime.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn asked_to_end() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Structured logs on standard error; `CARREL_LOG` chooses what, such as
/// "info,carrel_billing=debug", and `CARREL_LOG_FORMAT=json` how.
pub fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_env("CARREL_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second call, as in tests, leaves the first one's choice.
    let _ = if std::env::var("CARREL_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}
