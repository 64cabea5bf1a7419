//! `gvpie map`: what was done, for ever.

use super::data::{self, Folder};
use super::table::{cell, printable, table};
use super::{Arguments, Failure};
use crate::output::{PendingFile, print};
use crate::store::{MapRow, Store, StoreError, Verdict};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// Look at the map of all that was done, and prove that it is whole.
///
/// Each row's hash covers the row and the hash of the row before, so that no change, no loss and no
/// insertion goes unseen.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: Folder,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the map.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List rows, the newest first, or tell all of one
    Show {
        /// The row
        #[arg(value_name = "ID")]
        id: Option<i64>,
        /// Only rows that tell of this: run, script, goal, edit, abandoned, system, genesis
        #[arg(long, value_name = "KIND", conflicts_with = "id")]
        kind: Option<String>,
        /// So many rows at most
        #[arg(long, value_name = "N", default_value = "20", value_parser = super::at_least_one)]
        limit: usize,
    },
    /// List what a row follows from, the oldest first, and what follows from it
    Lineage {
        /// The row
        #[arg(value_name = "ID")]
        id: i64,
        /// So many rows each way at most
        #[arg(long, value_name = "N", default_value = "100",
              value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Follow the chain from the first row to the last; status 1 where it is broken
    Verify,
    /// Write all rows, a JSON object a line, the oldest first
    Export {
        /// Where to; standard output unless said
        #[arg(short, long, value_name = "OUT.jsonl")]
        output: Option<PathBuf>,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`]; [`Failure::Broken`] for a map that is not whole.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let store = options.data.existing()?;
    match &options.action {
        Action::Show { id: None, kind, limit } => {
            let rows = data::first(*limit, |page| store.map(kind.as_deref(), page))?;
            let text = if arguments.json { format!("{}\n", json!(rows)) } else { listed(&rows) };
            Ok(print(&text)?)
        }
        Action::Show { id: Some(id), .. } => tell(arguments, &store, *id),
        Action::Lineage { id, limit } => {
            let lineage = store.lineage(*id, *limit)?;
            if arguments.json {
                return Ok(print(&format!("{}\n", json!(lineage)))?);
            }
            let mut text = listed(&lineage.items);
            if !lineage.children.is_empty() {
                text += &format!("\nfrom {id}:\n{}", listed(&lineage.children));
            }
            Ok(print(&text)?)
        }
        Action::Verify => verify(arguments, &store),
        Action::Export { output } => export(arguments, &store, output.as_deref()),
    }
}

fn listed(rows: &[MapRow]) -> String {
    let or_none = |id: Option<i64>| id.map_or("-".into(), |id| id.to_string());
    let rows: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            [
                row.id.to_string(),
                row.timestamp.clone(),
                row.kind.clone(),
                row.iteration.to_string(),
                or_none(row.parent_iteration),
                cell(row.task_description.as_deref().unwrap_or("-")),
                cell(&came_of(row)),
            ]
        })
        .collect();
    table(["id", "time", "kind", "cycle", "from", "task", "result"], &rows)
}

/// What came of a row, in a few words.
fn came_of(row: &MapRow) -> String {
    let Some(result) = &row.result else { return String::new() };
    let Ok(Value::Object(told)) = serde_json::from_str(result) else { return result.clone() };
    let text = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or("").to_string();
    match (told.get("status"), told.get("change")) {
        (Some(_), _) => format!("{} {}", text("status"), text("error")),
        (_, Some(_)) => text("change"),
        _ => result.clone(),
    }
}

fn tell(arguments: &Arguments, store: &Store, id: i64) -> Result<(), Failure> {
    let missing = || StoreError::Missing { what: "row of the map", which: id.to_string() };
    let row = store.map_row(id)?.ok_or_else(missing)?;
    let row = json!(row);
    if arguments.json {
        return Ok(print(&format!("{row}\n"))?);
    }
    let shown = |value: &Value| match value {
        Value::Null => "-".into(),
        Value::String(text) => {
            text.lines().map(printable).collect::<Vec<_>>().join("\n                  ")
        }
        other => other.to_string(),
    };
    let columns = row.as_object().into_iter().flatten();
    let text: String =
        columns.map(|(name, value)| format!("{name:<18}{}\n", shown(value))).collect();
    Ok(print(&text)?)
}

fn verify(arguments: &Arguments, store: &Store) -> Result<(), Failure> {
    let verdict = store.verify()?;
    let (report, text) = match &verdict {
        Verdict::Whole { rows, head } => (
            json!({ "whole": true, "rows": rows, "head": head }),
            format!("whole: {rows} rows, the last one's hash is {head}\n"),
        ),
        Verdict::Broken { id, why } => {
            (json!({ "whole": false, "id": id, "why": why }), String::new())
        }
    };
    print(&if arguments.json { format!("{report}\n") } else { text })?;
    match verdict {
        Verdict::Whole { .. } => Ok(()),
        Verdict::Broken { id, why } => Err(Failure::Broken { id, why }),
    }
}

fn export(arguments: &Arguments, store: &Store, output: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = output else {
        return match store.export(&mut BufWriter::new(io::stdout().lock())) {
            // Who reads has seen enough.
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
                Ok(())
            }
            told => Ok(told.map(|_| ())?),
        };
    };
    let unwritten = |source| Failure::Output { path: path.into(), source };
    let mut file = PendingFile::create(path).map_err(unwritten)?;
    let rows = store.export(&mut file).map_err(|error| match error {
        StoreError::File { source, .. } => unwritten(source),
        other => other.into(),
    })?;
    file.finish().map_err(unwritten)?;
    let shown = path.display().to_string();
    Ok(print(&if arguments.json {
        format!("{}\n", json!({ "output": shown, "rows": rows }))
    } else {
        format!("{shown}: {rows} rows\n")
    })?)
}
