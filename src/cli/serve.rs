//! `gvpie serve`: the HTTP interface.

use super::signals::Signals;
use super::{Arguments, Choice, Failure, data};
use crate::output::print;
use crate::runtime::{Options as ServeOptions, Place, Server};
use clap::Args;
use serde_json::json;
use std::net::SocketAddr;

/// Serve programs, cartridges, scripts and the map over HTTP, with a page for people.
///
/// The page is at the address itself, and the description of all routes at /api/openapi.json. It
/// listens for this machine alone; with another address, set GVPIE_TOKEN to a secret that requests then
/// bear. Every run is recorded in the folder. SIGTERM and Ctrl+C end it when what is under way is done.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub listen: Listen,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: data::Folder,
}

/// Where to listen.
#[derive(Debug, Args)]
pub struct Listen {
    /// Where to listen; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8081")]
    pub addr: SocketAddr,
    /// Another name that requests may call this server by
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let wanted = wanted(arguments, &options.listen, &options.data)?;
    runtime()?.block_on(async {
        let server = Server::bind(wanted).await?;
        let mut signals = Signals::listen()?;
        tell(arguments, &server)?;
        server.run(signals.next()).await;
        Ok(())
    })
}

/// What a server is asked for here.
///
/// # Errors
/// Those of the folder.
pub fn wanted(
    arguments: &Arguments,
    listen: &Listen,
    folder: &data::Folder,
) -> Result<ServeOptions, Failure> {
    Ok(ServeOptions {
        addr: listen.addr,
        data: folder.path()?,
        place: match arguments.backend {
            Choice::Auto => Place::Any,
            Choice::Gpu => Place::Device,
            Choice::Cpu => Place::Host,
        },
        hosts: listen.hosts.clone(),
        token: std::env::var("GVPIE_TOKEN").ok().filter(|token| !token.is_empty()),
    })
}

/// What carries connections: few threads, since those that compute are others.
///
/// # Errors
/// Those of the system.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).max_blocking_threads(16).enable_all().build()?)
}

/// Says where it listens, in a line that programs read, too.
///
/// # Errors
/// Those of standard output.
pub fn tell(arguments: &Arguments, server: &Server) -> Result<(), Failure> {
    let (url, folder) = (format!("http://{}", server.addr()), server.data().display().to_string());
    Ok(print(&if arguments.json {
        format!("{}\n", json!({ "url": url, "data": folder }))
    } else {
        format!("gvpie serves {url} from {folder}\n")
    })?)
}
