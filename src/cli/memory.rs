//! `gvpie memory`: the tiers of memory, their budgets, and how fast they exchange.

use super::budgets::Budgets;
use super::{Arguments, Failure};
use crate::bytes::show;
use crate::output::print;
use clap::Args;
use gvpie_core::{Backend, Context, ContextOptions};
use serde_json::json;
use std::time::Instant;

/// Show the budgets of device, host and disk, and measure how fast they exchange
///
/// The check moves some MiB to the device and back, and spills some to the folder for spilled pages and
/// reads them again, and compares what comes back. The system may keep what was written in its own
/// memory, so the disk is this fast at least.
#[derive(Debug, Args)]
pub struct Options {
    /// What to show
    #[command(flatten)]
    pub budgets: Budgets,
}

/// Bytes that the check moves to the device, at most, and bytes that it spills.
const MOVED: u64 = 64 << 20;
const SPILLED: usize = 32 << 20;
/// Host memory of the check that spills.
const HELD: u64 = 4 << 20;

/// Bytes a second of each boundary.
struct Rates {
    up: f64,
    down: f64,
    spill: f64,
    fetch: f64,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`]; [`Failure::Wrong`] if what came back is not what went.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let asked = options.budgets.apply(arguments.context_options()?);
    let ctx = arguments.context_with(asked.clone())?;
    let (up, down) = exchange(&ctx)?;
    let (spill, fetch) = spill(asked)?;
    let rates = Rates { up, down, spill, fetch };
    let usage = ctx.device().pool().usage();
    let room = ctx.device().room();
    let text = if arguments.json {
        let report = json!({
            "adapter": ctx.adapter(),
            "device": { "budget": usage.budget, "room": room, "in_use": usage.in_use, "peak": usage.peak },
            "host": {
                "budget": usage.host.budget,
                "in_use": usage.host.in_use,
                "peak": usage.host.peak,
            },
            "disk": {
                "budget": usage.disk.budget,
                "in_use": usage.disk.in_use,
                "peak": usage.disk.peak,
            },
            "bytes_per_second": {
                "host_to_device": rates.up,
                "device_to_host": rates.down,
                "host_to_disk": rates.spill,
                "disk_to_host": rates.fetch,
            },
            "moved": super::budgets::moved(&ctx),
        });
        format!("{report}\n")
    } else {
        table(&ctx, room, &rates)
    };
    Ok(print(&text)?)
}

fn table(ctx: &Context, room: u64, rates: &Rates) -> String {
    let usage = ctx.device().pool().usage();
    let budget = |budget: Option<u64>| budget.map_or("none".into(), show);
    let mut text = format!("{}\n{:6}  {:>12}  {:>12}\n", ctx.adapter(), "tier", "budget", "room");
    let row = |tier: &str, most: Option<u64>, room: Option<u64>| {
        format!("{tier:6}  {:>12}  {:>12}\n", budget(most), budget(room))
    };
    text += &row("device", usage.budget, Some(room));
    let left =
        |tier: gvpie_core::Tier| tier.budget.map(|budget| budget.saturating_sub(tier.in_use));
    text += &row("host", usage.host.budget, left(usage.host));
    text += &row("disk", usage.disk.budget, left(usage.disk));
    for (way, rate) in [
        ("host to device", rates.up),
        ("device to host", rates.down),
        ("host to disk", rates.spill),
        ("disk to host", rates.fetch),
    ] {
        text += &format!("{way:14}  {:8.2} GB/s\n", rate / 1e9);
    }
    text
}

/// Bytes a second to the device and back, in the staging buffers of this context.
fn exchange(ctx: &Context) -> Result<(f64, f64), Failure> {
    let usage = ctx.device().pool().usage();
    let host = usage.host.budget.unwrap_or(u64::MAX);
    let words = (MOVED.min(ctx.device().room() / 2).min(host / 4) / 4).max(1) as usize;
    let mut from = ctx.paged::<u32>([words])?;
    let pattern: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    from.write(0, &pattern)?;
    let all = 0..words;
    let region = std::slice::from_ref(&all);
    let mut on_device = from.load(region)?;
    let mut back = ctx.paged::<u32>([words])?;
    back.store(region, &on_device)?; // the first round makes the staging buffers
    let bytes = 4.0 * words as f64;
    let start = Instant::now();
    from.load_into(region, &mut on_device)?;
    on_device.view().slice(0, 0..1)?.download()?;
    let up = bytes / start.elapsed().as_secs_f64();
    let start = Instant::now();
    back.store(region, &on_device)?;
    let down = bytes / start.elapsed().as_secs_f64();
    let mut found = vec![0; words];
    back.read(0, &mut found)?;
    if found != pattern {
        return Err(Failure::Wrong("what came back from the device is not what went there".into()));
    }
    Ok((up, down))
}

/// Bytes a second to files and back, in a context that has hardly any host memory.
fn spill(asked: ContextOptions) -> Result<(f64, f64), Failure> {
    let options = ContextOptions { backend: Some(Backend::Cpu), host_budget: Some(HELD), ..asked };
    let ctx = pollster::block_on(Context::request(options))?;
    let words = SPILLED / 4;
    let pattern: Vec<u32> = (0..words as u32).map(|i| i ^ 0x5bd1_e995).collect();
    let mut x = ctx.paged::<u32>([words])?;
    let start = Instant::now();
    x.write(0, &pattern)?;
    let spilled = ctx.device().pool().usage().spilled as f64 / start.elapsed().as_secs_f64();
    let before = ctx.device().pool().usage().fetched;
    let start = Instant::now();
    let mut found = vec![0; words];
    x.read(0, &mut found)?;
    let fetched = (ctx.device().pool().usage().fetched - before) as f64;
    let fetched = fetched / start.elapsed().as_secs_f64();
    if found != pattern {
        return Err(Failure::Wrong("what came back from the disk is not what went there".into()));
    }
    Ok((spilled, fetched))
}
