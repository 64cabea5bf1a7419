//! `gvpie metrics`: how much there is, and what was measured.

use super::data::{self, Folder};
use super::table::{cell, table};
use super::{Arguments, Failure};
use crate::output::print;
use crate::store::MetricFilter;
use clap::Args;
use serde_json::json;

/// Count runs, scripts and rows of the map, and list what was measured.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: Folder,
    /// Only figures of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only figures from this time on, UTC
    #[arg(long, value_name = "YYYY-MM-DD HH:MM:SS")]
    pub since: Option<String>,
    /// So many figures at most
    #[arg(long, value_name = "N", default_value = "20", value_parser = super::at_least_one)]
    pub limit: usize,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let store = options.data.existing()?;
    let counts = store.counts()?;
    let filter = MetricFilter { name: options.name.clone(), since: options.since.clone() };
    let rows = data::first(options.limit, |page| store.metrics(&filter, page))?;
    if arguments.json {
        return Ok(print(&format!("{}\n", json!({ "counts": counts, "metrics": rows })))?);
    }
    let mut text: String = [
        ("runs", counts.runs),
        ("ok", counts.runs_ok),
        ("failed", counts.runs_failed),
        ("skipped", counts.runs_skipped),
        ("running", counts.runs_running),
        ("scripts", counts.scripts),
        ("goals", counts.goals_open),
        ("cartridges", counts.cartridges),
        ("map rows", counts.map_rows),
    ]
    .iter()
    .map(|(name, count)| format!("{name:<13}{count}\n"))
    .collect();
    if !rows.is_empty() {
        let rows: Vec<[String; 5]> = rows
            .into_iter()
            .map(|row| {
                let (value, context) = (format!("{:.3}", row.metric_value), row.context);
                let context = cell(&context.unwrap_or_default());
                [row.timestamp, cell(&row.metric_name), value, row.grain, context]
            })
            .collect();
        text += "\n";
        text += &table(["time", "figure", "value", "grain", "of"], &rows);
    }
    Ok(print(&text)?)
}
