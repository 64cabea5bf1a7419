//! A look at WGSL before it is parsed: nothing gets to the parser that would exhaust its stack.

use crate::error::{Error, Result};

/// How large a source may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of source.
    pub bytes: usize,
    /// Brackets within brackets, of all kinds.
    pub nesting: usize,
    /// Operators, calls and `else` one after another in one statement.
    pub chain: usize,
}

impl Default for Limits {
    /// 64 KiB of source, 256 brackets deep, 2,048 operators long.
    fn default() -> Self {
        Limits { bytes: 64 << 10, nesting: 256, chain: 2048 }
    }
}

/// What is open at some place of the source.
#[derive(Default)]
struct Level {
    /// Operators since the statement, or the argument, began.
    chain: usize,
    /// Angle brackets that are open, or look so.
    angles: usize,
    /// Whether a block has just ended: only an `else` goes on with the chain.
    ended: bool,
}

/// Refuses source that is beyond the limits, by what and where.
pub(crate) fn scan(source: &str, limits: &Limits) -> Result<()> {
    let over = |what: &str, asked: usize, allowed: usize, line: u32| Error::Limit {
        what: what.into(),
        asked: asked as u64,
        allowed: allowed as u64,
        line,
    };
    if source.len() > limits.bytes {
        return Err(over("bytes of WGSL", source.len(), limits.bytes, 0));
    }
    let bytes = source.as_bytes();
    let mut levels = vec![Level::default()];
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let skipped = comment(rest);
        if skipped > 0 {
            line += rest[..skipped].iter().filter(|&&b| b == b'\n').count() as u32;
            at += skipped;
            continue;
        }
        let word = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        if rest[0] == b'\n' {
            line += 1;
        } else if !rest[0].is_ascii_whitespace() {
            if std::mem::take(&mut level.ended) && &rest[..word] != b"else" {
                *level = Level::default();
            }
            match rest[0] {
                b'(' | b'[' | b'{' => {
                    level.chain += 1;
                    levels.push(Level::default());
                }
                b')' | b']' | b'}' => {
                    if depth > 1 {
                        levels.pop();
                    }
                    if let Some(level) = levels.last_mut() {
                        level.ended = rest[0] == b'}';
                    }
                }
                b';' => *level = Level::default(),
                b',' => level.chain = level.angles,
                b'<' => {
                    level.angles += 1;
                    level.chain += 1;
                }
                b'>' => {
                    level.angles = level.angles.saturating_sub(1);
                    level.chain += 1;
                }
                b if b.is_ascii_punctuation() && b != b'_' => level.chain += 1,
                _ if &rest[..word] == b"else" => level.chain += 1,
                _ => {}
            }
        }
        if levels.len() > limits.nesting + 1 {
            return Err(over("brackets within brackets", levels.len() - 1, limits.nesting, line));
        }
        if let Some(level) = levels.last().filter(|level| level.chain > limits.chain) {
            let what = "operators one after another";
            return Err(over(what, level.chain, limits.chain, line));
        }
        at += word.max(1);
    }
    Ok(())
}

/// The bytes of the comment that `rest` begins with, 0 if it begins with none.
fn comment(rest: &[u8]) -> usize {
    if rest.starts_with(b"//") {
        return rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    }
    if !rest.starts_with(b"/*") {
        return 0;
    }
    let (mut at, mut open) = (2, 1);
    while open > 0 && at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, open) = (at + 2, open + 1),
            [b'*', b'/', ..] => (at, open) = (at + 2, open - 1),
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> Option<(u64, u64, u32)> {
        match scan(source, &Limits::default()) {
            Ok(()) => None,
            Err(Error::Limit { asked, allowed, line, .. }) => Some((asked, allowed, line)),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn ordinary_source_passes() {
        let body = "  y[i] = a * x[i] + vec4<f32>(1.0, 2.0, 3.0, 4.0).x; // a(((\n".repeat(800);
        assert_eq!(refused(&format!("fn f() {{\n{body}}}")), None);
        let table = format!("const T = array<f32, 9000>({});", "-1.0, ".repeat(9000));
        assert_eq!(refused(&table), None);
        let ifs = "if (a < b) { c = 1; }\n".repeat(2900);
        assert_eq!(refused(&format!("fn f() {{\n{ifs}}}")), None);
    }

    #[test]
    fn what_is_too_long_or_deep_is_refused_with_its_line() {
        assert_eq!(refused(&" ".repeat((64 << 10) + 1)), Some((65537, 65536, 0)));
        assert_eq!(refused(&"(".repeat(256)), None);
        assert_eq!(refused(&format!("\n{}", "(".repeat(257))), Some((257, 256, 2)));
        assert_eq!(refused(&format!("a{}", "+a".repeat(2049))), Some((2049, 2048, 1)));
        assert_eq!(refused(&"-".repeat(60000)), Some((2049, 2048, 1)));
        assert_eq!(refused(&"a[0]".repeat(3000)), Some((2049, 2048, 1)));
        assert_eq!(refused(&"x<1,".repeat(3000)), Some((2049, 2048, 1)));
        let chain = format!("if a {{}}{}", " else if a {}".repeat(3000));
        assert!(refused(&chain).is_some());
    }

    #[test]
    fn comments_count_for_nothing() {
        let deep = "(".repeat(9000);
        assert_eq!(refused(&format!("// {deep}\n/* {deep} /* {deep} */ ( */")), None);
        assert_eq!(refused(&format!("/* {deep}")), None);
    }
}
