//! `--device-budget`, `--host-budget`, `--spill-dir`: how much memory a subcommand may take, and what
//! it took.

use crate::bytes;
use clap::Args;
use gvpie_core::{Context, ContextOptions, DType, Shape};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The budgets of a subcommand that also computes what does not fit.
#[derive(Debug, Clone, Default, Args)]
pub struct Budgets {
    /// The most device memory to take; operands that do not fit are computed in parts
    #[arg(long, value_name = "512MiB", value_parser = bytes::parse)]
    pub device_budget: Option<u64>,
    /// The most host memory for parts of operands; what does not fit goes to files
    #[arg(long, value_name = "1GiB", value_parser = bytes::parse)]
    pub host_budget: Option<u64>,
    /// The folder for these files
    #[arg(long, value_name = "DIR")]
    pub spill_dir: Option<PathBuf>,
}

impl Budgets {
    /// The options with these budgets, where they say something.
    pub fn apply(&self, options: ContextOptions) -> ContextOptions {
        ContextOptions {
            device_budget: self.device_budget.or(options.device_budget),
            host_budget: self.host_budget.or(options.host_budget),
            spill_folder: self.spill_dir.clone().or(options.spill_folder),
            ..options
        }
    }

    /// Whether operands of so many bytes are to be computed in parts: they do not fit the device, or
    /// not the host memory that was granted.
    pub fn exceeded_by(&self, ctx: &Context, bytes: u64) -> bool {
        bytes > ctx.device().room() || self.host_budget.is_some_and(|host| bytes > host)
    }
}

/// Bytes of an array; the largest number where they cannot be counted.
pub fn size(shape: &Shape, dtype: DType) -> u64 {
    let elements = shape.len().map_or(u64::MAX, |n| n as u64);
    elements.saturating_mul(dtype.size() as u64)
}

/// Whether a file can be read in blocks: a pipe cannot.
pub fn is_in_blocks(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.is_file())
}

/// What a context has moved and taken, for `--json`.
pub fn moved(ctx: &Context) -> Value {
    let usage = ctx.device().pool().usage();
    json!({
        "bytes_to_device": usage.uploaded,
        "bytes_from_device": usage.downloaded,
        "bytes_spilled": usage.spilled,
        "bytes_read": usage.fetched,
        "hits": usage.hits,
        "spills": usage.spills,
        "stalls": usage.stalls,
        "stalled_seconds": usage.stalled.as_secs_f64(),
        "peak_device_bytes": usage.peak,
        "peak_host_bytes": usage.host.peak,
        "peak_disk_bytes": usage.disk.peak,
    })
}
