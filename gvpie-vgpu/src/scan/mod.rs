//! A look at WGSL before it is parsed: nothing gets to the parser that would exhaust its stack.

mod declared;

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
    /// Members of a struct, with those of the structs in it.
    pub members: usize,
    /// Elements of constants that are arrays or the like, each as often as the source names it.
    pub elements: usize,
}

impl Default for Limits {
    /// 64 KiB of source, 256 brackets deep, 2,048 operators long, 8,192 members, 262,144 elements.
    fn default() -> Self {
        Limits { bytes: 64 << 10, nesting: 256, chain: 2048, members: 8192, elements: 1 << 18 }
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
    let declared = declared::measure(source);
    let amounts = [
        ("members of a struct and of those in it", declared.members, limits.members),
        ("elements of constants, as often as they are named", declared.elements, limits.elements),
    ];
    match amounts.into_iter().find(|(_, asked, allowed)| *asked > *allowed as u64) {
        Some((what, asked, allowed)) => Err(over(what, asked as usize, allowed, 0)),
        None => Ok(()),
    }
}

/// The bytes of the comment that `rest` begins with, 0 if it begins with none.
fn comment(rest: &[u8]) -> usize {
    if rest.starts_with(b"//") {
        return (2..rest.len()).find(|&at| ends_line(&rest[at..])).unwrap_or(rest.len());
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

/// Whether `rest` begins with what WGSL takes for the end of a line.
fn ends_line(rest: &[u8]) -> bool {
    matches!(
        rest,
        [b'\n' | 0xb | 0xc | b'\r', ..] | [0xc2, 0x85, ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..]
    )
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
    fn members_of_structs_in_structs_are_counted() {
        let doubled = |last: usize, form: &str| {
            let mut source = String::from("struct A0 { a: u32, b: vec4<f32>, }\n");
            for k in 1..=last {
                let name = |k: usize| format!("A{k}");
                source += &form.replace("NEXT", &name(k)).replace("LAST", &name(k - 1));
            }
            refused(&source)
        };
        let plain = "struct NEXT { a: LAST, b: array<LAST, 9> }\n";
        assert_eq!(doubled(10, plain), None);
        assert_eq!(doubled(12, plain), Some(((1 << 14) - 2, 8192, 0)));
        let spaced = "struct/**/NEXT\u{2028}{a:LAST,//\u{85}b:LAST//\n}";
        assert!(doubled(12, spaced).is_some());
        let strange = "alias \u{e9}NEXT\u{200e}=LAST; struct NEXT { a: \u{e9}NEXT, b: \u{e9}NEXT }";
        assert!(doubled(12, strange).is_some());
        assert!(doubled(63, plain).is_some());
        assert_eq!(refused("struct A { a: B } struct B { a: A, b: A }"), None);
    }

    #[test]
    fn elements_of_constants_are_counted_where_they_are_named() {
        let table = format!("const T = array({});", "1, ".repeat(1000));
        assert_eq!(refused(&format!("{table}{}", "x = T[i];".repeat(261))), None);
        let asked = refused(&format!("{table}{}", "x = T[i];".repeat(262)));
        assert_eq!(asked, Some((263_000, 1 << 18, 0)));
        let doubled = |k: usize| format!("const A{k} = array(A{0}, A{0});", k - 1);
        let doubled: String = (1..64).map(doubled).collect();
        assert!(refused(&doubled).is_some());
        let plain = |k: usize| format!("const B{k} = B{0} + B{0} * B{0};", k - 1);
        let plain: String = (1..1000).map(plain).collect();
        assert_eq!(refused(&plain), None);
    }

    #[test]
    fn comments_end_with_any_line() {
        for end in ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            assert!(refused(&format!("//{end}{}", "(".repeat(300))).is_some(), "{end:?}");
        }
    }

    #[test]
    fn comments_count_for_nothing() {
        let deep = "(".repeat(9000);
        assert_eq!(refused(&format!("// {deep}\n/* {deep} /* {deep} */ ( */")), None);
        assert_eq!(refused(&format!("/* {deep}")), None);
    }
}
