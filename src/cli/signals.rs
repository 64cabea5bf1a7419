//! The wish of the system, or of a person at the keyboard, that a process ends: SIGTERM, Ctrl+C.

use crate::daemon::Stop;
use std::io;

/// Signals from the moment this is made on; until then they end the process.
#[derive(Debug)]
pub struct Signals(Kinds);

#[cfg(unix)]
type Kinds = [tokio::signal::unix::Signal; 2];
#[cfg(windows)]
type Kinds = tokio::signal::windows::CtrlC;

impl Signals {
    /// Listens, within a runtime of tokio.
    ///
    /// # Errors
    /// Those of the system.
    pub fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Signals([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
        }
        #[cfg(windows)]
        Ok(Signals(tokio::signal::windows::ctrl_c()?))
    }

    /// Comes with the next.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut self.0;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(windows)]
        self.0.recv().await;
    }
}

/// Asks for a stop with the first signal, from now on; the second ends the process at once.
///
/// # Errors
/// Those of the system.
pub fn ask(stop: &Stop) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen()?
    };
    let stop = stop.clone();
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || {
        runtime.block_on(async {
            signals.next().await;
            stop.ask();
            signals.next().await;
            std::process::exit(130); // 128 + SIGINT, as shells have it
        });
    })?;
    Ok(())
}
