//! `gvpie goal`: what scripts are for.

use super::data::{self, Folder};
use super::table::{cell, table};
use super::{Arguments, Failure};
use crate::output::print;
use crate::store::Goal;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Set goals, and say when they are reached.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: Folder,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with goals.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Set a goal
    Add {
        /// What is to be reached
        #[arg(value_name = "GOAL")]
        goal: String,
        /// How much it matters: 1 to 10
        #[arg(long, value_name = "N", default_value = "5",
              value_parser = clap::value_parser!(i64).range(1..=10))]
        priority: i64,
        /// What a machine has to know of it
        #[arg(long, value_name = "JSON", value_parser = spec)]
        spec: Option<Value>,
    },
    /// List goals that are not reached
    List {
        /// And those that are
        #[arg(long)]
        all: bool,
    },
    /// Say that a goal is reached
    Done {
        /// The goal
        #[arg(value_name = "ID")]
        id: i64,
        /// It is not, after all
        #[arg(long)]
        reopen: bool,
    },
}

fn spec(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let mut store = options.data.store()?;
    let (goal, said) = match &options.action {
        Action::Add { goal, priority, spec } => {
            let goal = Goal { goal: goal.clone(), priority: *priority, spec: spec.clone() };
            (store.add_goal(&goal)?, "set")
        }
        Action::Done { id, reopen } => {
            store.change_goal(*id, Some(!reopen), None)?;
            (*id, if *reopen { "open again" } else { "reached" })
        }
        Action::List { all } => {
            let rows = data::first(usize::MAX, |page| store.goals(*all, page))?;
            if arguments.json {
                return Ok(print(&format!("{}\n", json!(rows)))?);
            }
            let rows: Vec<[String; 5]> = rows
                .into_iter()
                .map(|row| {
                    let when = row.completed_at.unwrap_or(row.created_at);
                    let state = if row.completed { "reached" } else { "open" };
                    let priority = row.priority.to_string();
                    [row.id.to_string(), priority, state.into(), when, cell(&row.goal)]
                })
                .collect();
            return Ok(print(&table(["id", "priority", "state", "since", "goal"], &rows))?);
        }
    };
    Ok(print(&if arguments.json {
        format!("{}\n", json!(store.goal(goal)?))
    } else {
        format!("goal {goal} is {said}\n")
    })?)
}
