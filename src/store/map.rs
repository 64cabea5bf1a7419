//! The map: what was done, for ever, each row chained to the one before.

use super::{NOW, objects};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, named_params};

/// What the first row is chained to.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a row of the map tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Kind {
    Genesis,
    Run,
    Abandoned,
    Script,
    Edit,
    Goal,
    System,
}

impl Kind {
    /// As the column has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Genesis => "genesis",
            Kind::Run => "run",
            Kind::Abandoned => "abandoned",
            Kind::Script => "script",
            Kind::Edit => "edit",
            Kind::Goal => "goal",
            Kind::System => "system",
        }
    }
}

/// A row before it has its place.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it tells of.
    pub kind: Kind,
    /// The daemon's cycle.
    pub iteration: i64,
    /// What was to be done.
    pub task: Option<String>,
    /// The program, or its hash's row.
    pub code: Option<String>,
    /// What came of it.
    pub result: Option<String>,
    /// The row that this one follows from.
    pub parent: Option<i64>,
    /// The run that it is of.
    pub run: Option<i64>,
    /// The hash of the program.
    pub code_sha256: Option<String>,
    /// The hash of the result, if it is an object.
    pub result_sha256: Option<String>,
    /// The goal that it serves.
    pub goal: Option<i64>,
    /// Its place in the plane: the cycle across, the script down.
    pub place: [i64; 2],
    /// Where its random numbers began.
    pub seed: Option<i64>,
}

impl Entry {
    /// A row of a kind, which tells nothing yet.
    pub fn new(kind: Kind, iteration: i64) -> Self {
        Entry {
            kind,
            iteration,
            task: None,
            code: None,
            result: None,
            parent: None,
            run: None,
            code_sha256: None,
            result_sha256: None,
            goal: None,
            place: [0, 0],
            seed: None,
        }
    }
}

/// What following the chain has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Each row is as it was written and where it was.
    Whole {
        /// So many there are.
        rows: u64,
        /// The last one's hash.
        head: String,
    },
    /// The first row that is not.
    Broken {
        /// Its id.
        id: i64,
        /// What is wrong with it.
        why: String,
    },
}

/// The columns that a row's hash covers, in this order, before the hash of the row before.
const COVERED: &str = "id, iteration, task_description, code, result, analysis, timestamp, \
    parent_iteration, parent_b, kind, run_id, goal_id, x, y, code_sha256, result_sha256, score, seed, \
    operator";

/// SHA-256 over the previous row's hash and each column: a byte of its type, its length, its bytes.
fn chained(previous: &str, columns: &[Value]) -> String {
    let mut bytes = previous.as_bytes().to_vec();
    let mut add = |kind: u8, value: &[u8]| {
        bytes.push(kind);
        bytes.extend((value.len() as u64).to_le_bytes());
        bytes.extend(value);
    };
    for column in columns {
        match column {
            Value::Null => add(0, &[]),
            Value::Integer(number) => add(1, &number.to_le_bytes()),
            Value::Real(number) => add(2, &number.to_le_bytes()),
            Value::Text(text) => add(3, text.as_bytes()),
            Value::Blob(blob) => add(4, blob),
        }
    }
    objects::hash(&bytes)
}

/// Writes the first row, if there is none.
pub(super) fn begin(tx: &Connection) -> rusqlite::Result<()> {
    let any: bool = tx.query_row("SELECT EXISTS (SELECT 1 FROM infinite_map)", [], |r| r.get(0))?;
    if !any {
        Chain::of(tx)?.append(&Entry::new(Kind::Genesis, 0))?;
    }
    Ok(())
}

/// The last cycle that a row is of.
pub(super) fn last_iteration(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT ifnull(max(iteration), 0) FROM infinite_map")?
        .query_row([], |row| row.get(0))
}

/// The end of the map, for as long as a transaction that writes holds it.
pub(super) struct Chain<'a> {
    pub tx: &'a Connection,
    /// When the transaction began, as the tables have it.
    pub now: String,
    last: i64,
    hash: String,
}

impl<'a> Chain<'a> {
    pub fn of(tx: &'a Connection) -> rusqlite::Result<Self> {
        let last = tx
            .prepare_cached("SELECT id, row_hash FROM infinite_map ORDER BY id DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (last, hash) = last.unwrap_or((0, GENESIS.into()));
        let now = tx.prepare_cached(&format!("SELECT {NOW}"))?.query_row([], |row| row.get(0))?;
        Ok(Chain { tx, now, last, hash })
    }

    /// Does what adds rows, all of them or none: where a rule of the tables forbids it, the rows that
    /// came before stay.
    pub fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<rusqlite::Result<T>> {
        let end = (self.last, self.hash.clone());
        self.tx.prepare_cached("SAVEPOINT attempt")?.execute([])?;
        let done = work(self);
        let forbidden = matches!(&done, Err(error)
            if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation));
        if forbidden {
            self.tx.prepare_cached("ROLLBACK TO attempt")?.execute([])?;
            (self.last, self.hash) = end;
        } else if done.is_err() {
            return done.map(Ok); // of the disk, or such; SQLite may have ended the transaction
        }
        self.tx.prepare_cached("RELEASE attempt")?.execute([])?;
        Ok(done)
    }

    /// Adds a row behind the last one, and returns its id.
    pub fn append(&mut self, entry: &Entry) -> rusqlite::Result<i64> {
        let id = self.last + 1;
        let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::Text);
        let number = |value: Option<i64>| value.map_or(Value::Null, Value::Integer);
        let columns = [
            Value::Integer(id),
            Value::Integer(entry.iteration),
            text(&entry.task),
            text(&entry.code),
            text(&entry.result),
            Value::Null,
            Value::Text(self.now.clone()),
            number(entry.parent),
            Value::Null,
            Value::Text(entry.kind.name().into()),
            number(entry.run),
            number(entry.goal),
            Value::Integer(entry.place[0]),
            Value::Integer(entry.place[1]),
            text(&entry.code_sha256),
            text(&entry.result_sha256),
            Value::Null,
            number(entry.seed),
            Value::Null,
        ];
        let hash = chained(&self.hash, &columns);
        let mut insert = self.tx.prepare_cached(
            "INSERT INTO infinite_map (id, iteration, task_description, code, result, timestamp,
                parent_iteration, kind, run_id, goal_id, x, y, code_sha256, result_sha256, seed,
                prev_hash, row_hash)
             VALUES (:id, :iteration, :task, :code, :result, :time, :parent, :kind, :run, :goal,
                :x, :y, :code_sha256, :result_sha256, :seed, :previous, :hash)",
        )?;
        insert.execute(named_params! {
            ":id": id,
            ":iteration": entry.iteration,
            ":task": entry.task,
            ":code": entry.code,
            ":result": entry.result,
            ":time": self.now,
            ":parent": entry.parent,
            ":kind": entry.kind.name(),
            ":run": entry.run,
            ":goal": entry.goal,
            ":x": entry.place[0],
            ":y": entry.place[1],
            ":seed": entry.seed,
            ":code_sha256": entry.code_sha256,
            ":result_sha256": entry.result_sha256,
            ":previous": self.hash,
            ":hash": hash,
        })?;
        (self.last, self.hash) = (id, hash);
        Ok(id)
    }
}

/// Follows the chain from the first row.
pub(super) fn verify(connection: &Connection) -> rusqlite::Result<Verdict> {
    let columns = COVERED.split(',').count();
    let all = format!("SELECT {COVERED}, prev_hash, row_hash FROM infinite_map ORDER BY id");
    let mut statement = connection.prepare(&all)?;
    let mut rows = statement.query([])?;
    let (mut previous, mut expected) = (GENESIS.to_string(), 1);
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let broken = |why: String| Ok(Verdict::Broken { id, why });
        if id != expected {
            return broken(format!("row {expected} is missing"));
        }
        let values = (0..columns).map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>()?;
        let (before, hash): (String, String) = (row.get(columns)?, row.get(columns + 1)?);
        if before != previous {
            return broken("it is not chained to the row before".into());
        }
        if hash != chained(&before, &values) {
            return broken("it is not what was written".into());
        }
        (previous, expected) = (hash, id + 1);
    }
    // What was there once; rows that were cut off at the end leave it behind.
    let last: Option<i64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'infinite_map'", [], |r| r.get(0))
        .optional()?;
    if last.is_some_and(|last| last >= expected) {
        return Ok(Verdict::Broken {
            id: expected,
            why: "it and those behind it are missing".into(),
        });
    }
    Ok(Verdict::Whole { rows: expected as u64 - 1, head: previous })
}
