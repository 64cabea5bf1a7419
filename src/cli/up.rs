//! `gvpie up`: the server and the daemon in one process.

use super::signals::Signals;
use super::{Arguments, Failure, daemon, data, serve};
use crate::daemon::{Options as DaemonOptions, Stop};
use crate::runtime::Server;
use clap::Args;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Serve, and run the scripts that are due, in one process: `gvpie serve` and `gvpie daemon`.
///
/// The daemon speaks to the server over HTTP all the same. SIGTERM and Ctrl+C end first the daemon, then
/// the server.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub listen: serve::Listen,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub work: daemon::Loop,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: data::Folder,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], before the first cycle.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let served = serve::wanted(arguments, &options.listen, &options.data)?;
    let wanted = daemon::wanted(arguments, &options.work, &options.data)?;
    serve::runtime()?.block_on(async {
        let server = Server::bind(served).await?;
        let mut signals = Signals::listen()?;
        serve::tell(arguments, &server)?;
        let own = reachable(server.addr());
        let wanted = DaemonOptions {
            api: format!("http://{own}"),
            // Whatever it is called, it is this process.
            allow_network: !own.ip().is_loopback(),
            ..wanted
        };
        let stop = Stop::default();
        let (asked, (ended, mut end)) = (stop.clone(), tokio::sync::oneshot::channel());
        std::thread::Builder::new().name("daemon".into()).spawn(move || {
            // The server may have ended, and nobody waits.
            let _ = ended.send(crate::daemon::run(wanted, &asked));
        })?;
        let mut outcome = None;
        let both = async {
            tokio::select! {
                ended = &mut end => outcome = ended.ok(),
                () = signals.next() => {
                    stop.ask();
                    outcome = end.await.ok();
                }
            }
        };
        server.run(both).await;
        match outcome {
            Some(outcome) => Ok(outcome?),
            None => Err(Failure::Stdout(std::io::Error::other("the daemon's thread has failed"))),
        }
    })
}

/// Where this machine reaches a server that listens there.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening {
        SocketAddr::V4(address) if address.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    };
    SocketAddr::new(ip, listening.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_for_all_addresses_is_reached_by_that_of_this_machine() {
        for (listening, own) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.2:8081", "127.0.0.2:8081"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(reachable(listening.parse().unwrap()), own.parse().unwrap());
        }
    }
}
