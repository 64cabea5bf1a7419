//! Connections: taken, bounded in number and in the patience they are shown, and ended with grace.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time; more are taken when one of these ends.
const CONNECTIONS: usize = 1024;

/// How long the head of a request may take, and a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of a request's head at most, and its lines.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_LINES: usize = 100;

/// How long requests may take that are under way when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop` comes, and then what is under way.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut stop => break,
            (permit, Ok((stream, _))) = next => (permit, stream),
            else => {
                // No descriptor is left, for one; that passes.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true); // slower without, and as right
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_LINES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection has ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that took longer than {} s were ended", GRACE.as_secs());
    }
}
