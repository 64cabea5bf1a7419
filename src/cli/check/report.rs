//! What was found, for a person and for a program.

use super::Run;
use super::interface::place;
use crate::cli::table::{printable, table};
use gvpie_vgpu::ir::{Memory, Span};
use gvpie_vgpu::sanitize::{Finding, Kind, Party, Traffic};
use serde_json::{Value, json};

/// Where something is in the source: a line and a column from 1 on, and the line's text.
struct Place<'a> {
    line: usize,
    column: usize,
    /// Characters of it on that line, one at least.
    width: usize,
    text: &'a str,
}

impl Place<'_> {
    fn of(source: &str, span: Span) -> Place<'_> {
        let cut = |byte: u32| {
            let byte = (byte as usize).min(source.len());
            (0..=byte).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0)
        };
        let (start, end) = (cut(span.start), cut(span.end));
        let first = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let last = source[start..].find('\n').map_or(source.len(), |length| start + length);
        let shown = &source[start..end.clamp(start, last)];
        Place {
            line: span.line(source),
            column: source[first..start].chars().count() + 1,
            width: shown.trim_end().chars().count().max(1),
            text: source[first..last].trim_end(),
        }
    }

    /// The line, and marks under the place with some words.
    fn shown(&self, gutter: usize, words: &str) -> String {
        format!(
            "{:>gutter$} | {}\n{:gutter$} | {:skip$}{} {words}\n",
            self.line,
            printable(&self.text.replace('\t', " ")),
            "",
            "",
            "^".repeat(self.width),
            skip = self.column - 1,
        )
    }
}

/// A workgroup, as it is written.
fn group([x, y, z]: [u32; 3]) -> String {
    format!("{x},{y},{z}")
}

fn lane(lane: u32, workgroup: [u32; 3]) -> String {
    format!("lane {lane} of workgroup {}", group(workgroup))
}

fn access(writes: bool) -> &'static str {
    if writes { "writes" } else { "reads" }
}

/// What it is, in a line.
fn headline(kind: &Kind) -> String {
    match kind {
        Kind::Race { memory, address, .. } => {
            format!("race: two lanes reach byte {address} of {memory}, and no barrier orders them")
        }
        Kind::OutOfBounds { index, length } => {
            format!("out of bounds: index {index} of an array of {length}")
        }
        Kind::OutsideTexture { texture, at: [x, y, z], level, size } => format!(
            "out of bounds: texel {x},{y},{z} of {texture}, whose level {level} has {}",
            size.map(|extent| extent.to_string()).join(" x ")
        ),
        Kind::Uninitialised { memory, address } => {
            format!("not written yet: byte {address} of {memory} is read, and still zero")
        }
        Kind::Divergent => "barrier in divergent flow: not all lanes come here".into(),
        Kind::DividedByZero => "integer divided by zero".into(),
        Kind::NotANumber => "the first NaN comes of numbers here".into(),
    }
}

/// A finding with its lines.
fn finding(run: &Run<'_>, number: usize, found: &Finding) -> String {
    let at = Place::of(run.source, found.span);
    let times = if found.count == 1 { String::new() } else { format!(" ({} times)", found.count) };
    let path = run.options.kernel.display();
    let who = lane(found.lane, found.workgroup);
    let (words, other) = match &found.kind {
        Kind::Race { writes, other, .. } => {
            let Party { lane: number, workgroup, writes: wrote, .. } = *other;
            let words = format!("{who} {}", access(*writes));
            let before = format!("{} {} before", lane(number, workgroup), access(wrote));
            (words, Some((Place::of(run.source, other.span), before)))
        }
        Kind::Divergent => (format!("{who} does not"), None),
        _ => (who, None),
    };
    let widest = at.line.max(other.as_ref().map_or(0, |(other, _)| other.line));
    let gutter = widest.to_string().len();
    let headline = headline(&found.kind);
    let mut text = format!("{number}. {headline}{times}\n");
    text += &format!("{:gutter$}--> {path}:{}:{}\n", "", at.line, at.column);
    let mut lines = vec![(at, words)];
    lines.extend(other);
    lines.sort_by_key(|(place, _)| place.line);
    for (place, words) in lines {
        text += &place.shown(gutter, &words);
    }
    text + "\n"
}

/// Where traffic goes, by name.
fn memory(run: &Run<'_>, memory: Memory) -> (String, &'static str) {
    match memory {
        Memory::Binding(number) => {
            let binding = run.kernel.bindings.get(number as usize);
            (binding.map_or_else(String::new, |binding| binding.name.clone()), "buffer")
        }
        Memory::Workgroup => ("workgroup".into(), "workgroup"),
        Memory::Private => ("private".into(), "private"),
        Memory::Immediate => ("immediate".into(), "immediate"),
    }
}

fn traffic(run: &Run<'_>) -> String {
    let heads = ["line", "memory", "accesses", "taken", "least", "times", "source"];
    let row = |traffic: &Traffic| {
        let at = Place::of(run.source, traffic.span);
        let source: String = at.text.chars().skip(at.column - 1).take(at.width.min(40)).collect();
        [
            at.line.to_string(),
            memory(run, traffic.memory).0,
            traffic.accesses.to_string(),
            traffic.taken.to_string(),
            traffic.least.to_string(),
            format!("{:.2}", traffic.taken as f64 / traffic.least.max(1) as f64),
            printable(&source),
        ]
    };
    let rows: Vec<[String; 7]> = run.report.traffic.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { format!("\n{}", table(heads, &rows)) }
}

/// For a person.
pub(super) fn text(run: &Run<'_>) -> String {
    let Run { options, kernel, report, seconds, .. } = run;
    let mut text = format!(
        "{}: {}, {} workgroups of {} lanes, subgroups of {}\n",
        options.kernel.display(),
        kernel.name,
        options.dispatch.map(|n| n.to_string()).join(" x "),
        kernel.workgroup.map(|n| n.to_string()).join(" x "),
        options.subgroup,
    );
    for bound in run.bound {
        let at = place(bound.group, bound.binding);
        let assumed = if bound.assumed { ", as nothing was bound" } else { "" };
        text += &format!("  {at} {}: {}{assumed}\n", bound.name, bound.what);
    }
    if kernel.immediate_bytes > 0 && options.immediate.is_none() {
        text += &format!("  immediate data: {} bytes of zeros\n", kernel.immediate_bytes);
    }
    text += "\n";
    for (number, found) in report.findings.iter().enumerate() {
        text += &finding(run, number + 1, found);
    }
    text += &match report.findings.len() {
        0 => format!("nothing found in {seconds:.3} s\n"),
        1 => format!("1 fault found in {seconds:.3} s\n"),
        count => format!("{count} faults found in {seconds:.3} s\n"),
    };
    text + &traffic(run)
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Race { .. } => "race",
        Kind::OutOfBounds { .. } => "out-of-bounds",
        Kind::OutsideTexture { .. } => "outside-texture",
        Kind::Uninitialised { .. } => "uninitialised",
        Kind::Divergent => "divergent-barrier",
        Kind::DividedByZero => "divided-by-zero",
        Kind::NotANumber => "nan",
    }
}

fn located(run: &Run<'_>, span: Span) -> Value {
    let at = Place::of(run.source, span);
    json!({ "line": at.line, "column": at.column, "source": at.text })
}

/// For a program; the manual describes it.
pub(super) fn json(run: &Run<'_>) -> Value {
    let Run { options, kernel, report, .. } = run;
    let bindings = run.bound.iter().map(|bound| {
        json!({
            "group": bound.group,
            "binding": bound.binding,
            "name": bound.name,
            "what": bound.what,
            "assumed": bound.assumed,
        })
    });
    let findings = report.findings.iter().map(|found| {
        let mut value = json!({ "kind": kind(&found.kind), "message": found.text(run.source) });
        let mut set = |key: &str, part: Value| value[key] = part;
        if let Value::Object(place) = located(run, found.span) {
            place.into_iter().for_each(|(key, part)| set(&key, part));
        }
        set("workgroup", json!(found.workgroup));
        set("lane", found.lane.into());
        set("count", found.count.into());
        match &found.kind {
            Kind::Race { memory, address, writes, other } => {
                set("memory", memory.as_str().into());
                set("address", (*address).into());
                set("access", access(*writes).into());
                let mut party = located(run, other.span);
                party["workgroup"] = json!(other.workgroup);
                party["lane"] = other.lane.into();
                party["access"] = access(other.writes).into();
                set("other", party);
            }
            Kind::OutOfBounds { index, length } => {
                set("index", (*index).into());
                set("length", (*length).into());
            }
            Kind::OutsideTexture { texture, at, level, size } => {
                set("memory", texture.as_str().into());
                set("index", json!(at));
                set("level", (*level).into());
                set("length", json!(size));
            }
            Kind::Uninitialised { memory, address } => {
                set("memory", memory.as_str().into());
                set("address", (*address).into());
            }
            Kind::Divergent | Kind::DividedByZero | Kind::NotANumber => {}
        }
        value
    });
    let traffic = report.traffic.iter().map(|traffic| {
        let mut value = located(run, traffic.span);
        let (memory, space) = memory(run, traffic.memory);
        value["memory"] = memory.into();
        value["space"] = space.into();
        value["accesses"] = traffic.accesses.into();
        value["taken"] = traffic.taken.into();
        value["least"] = traffic.least.into();
        value
    });
    json!({
        "kernel": options.kernel.to_string_lossy(),
        "entry": kernel.name,
        "workgroup": kernel.workgroup,
        "dispatch": options.dispatch,
        "subgroup": options.subgroup,
        "seconds": run.seconds,
        "bindings": bindings.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "traffic": traffic.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_of_characters() {
        let source = "a\n  béta = gamma;\nc";
        let at = |start, end| Place::of(source, Span { start, end });
        let found = at(12, 17);
        assert_eq!((found.line, found.column, found.width), (2, 10, 5));
        assert_eq!(found.shown(2, "here"), " 2 |   béta = gamma;\n   |          ^^^^^ here\n");
        // What goes on over lines is marked on its first; what is nowhere, at the beginning.
        let found = at(4, 20);
        assert_eq!((found.line, found.column, found.width), (2, 3, 13));
        let found = at(0, 0);
        assert_eq!((found.line, found.column, found.width), (1, 1, 1));
        assert_eq!(at(900, 901).line, 3);
        assert_eq!(at(6, 6).column, 4); // within é
    }
}
