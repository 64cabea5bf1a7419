//! How large what is declared becomes where it is used, which a small source can make enormous.
//!
//! naga goes through all members of members again for each value that is made of a struct, and a struct of
//! twice the one before doubles them. It copies the elements of a constant wherever one of them is taken,
//! into a list that it walks from the beginning with each further expression.

use std::collections::HashMap;

/// What a source declares.
pub(super) struct Declared {
    /// Members of the largest struct, with those of the structs in it.
    pub members: u64,
    /// Elements of constants that are made of several, each as often as a name stands for it.
    pub elements: u64,
}

/// A declaration: how large it is itself, and the words in it.
struct Body<'a> {
    own: u64,
    /// Whether its size is the sum of those that it names, or the largest of them.
    sums: bool,
    words: Vec<&'a str>,
}

type Bodies<'a> = HashMap<&'a str, Body<'a>>;

/// Measures what a source declares; more than a u64 counts is as much as it counts. What is within itself,
/// which naga refuses, counts once.
pub(super) fn measure(source: &str) -> Declared {
    let (mut structs, mut constants) = (Bodies::new(), Bodies::new());
    let mut tokens = Tokens { rest: source }.peekable();
    while let Some(token) = tokens.next() {
        let (end, sign, bodies) = match token {
            "struct" => ("}", ":", &mut structs),
            "alias" => (";", ":", &mut structs),
            "const" => (";", ",", &mut constants),
            _ => continue,
        };
        let Some(name) = tokens.next() else { break };
        let mut body = Body { own: 0, sums: token != "const", words: Vec::new() };
        while let Some(token) = tokens.next_if(|token| *token != end) {
            body.own += u64::from(token == sign);
            body.words.push(token);
        }
        // A constant without a comma is no larger than what it is computed from.
        body.sums |= body.own > 0;
        bodies.insert(name, body);
    }
    let members = sizes(&structs).into_values().max().unwrap_or(0);
    let sizes = sizes(&constants);
    let of = |token: &str| sizes.get(token).copied().unwrap_or(0);
    let elements = Tokens { rest: source }.map(of).fold(0, u64::saturating_add);
    Declared { members, elements }
}

/// The size of each that is declared.
///
/// They may name one another in any order and depth: what is open waits on a list, as a stack might not
/// hold it.
fn sizes<'a>(bodies: &Bodies<'a>) -> HashMap<&'a str, u64> {
    let mut sizes: HashMap<&str, u64> = HashMap::new();
    let mut open: Vec<&str> = bodies.keys().copied().collect();
    while let Some(&name) = open.last() {
        let Some(body) = bodies.get(name) else { break };
        let named = || body.words.iter().filter(|word| bodies.contains_key(*word));
        let before = open.len();
        if !sizes.contains_key(name) {
            // A size of 0 stands for one that is open.
            sizes.insert(name, 0);
            open.extend(named().filter(|word| !sizes.contains_key(*word)));
        }
        if open.len() == before {
            let parts = named().map(|word| sizes.get(word).copied().unwrap_or(0));
            let size = match body.sums {
                true => parts.fold(body.own, u64::saturating_add),
                false => parts.max().unwrap_or(0),
            };
            sizes.insert(name, size);
            open.pop();
        }
    }
    sizes
}

/// Words, and all other signs one by one, without blanks and comments.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        // The marks of direction are blanks in WGSL, not in Unicode.
        let blank = |c: char| c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}');
        loop {
            self.rest = self.rest.trim_start_matches(blank);
            match super::comment(self.rest.as_bytes()) {
                0 => break,
                skipped => self.rest = self.rest.get(skipped..)?,
            }
        }
        let sign = |c: char| blank(c) || (c.is_ascii_punctuation() && c != '_');
        let first = self.rest.chars().next()?;
        let length = self.rest.find(sign).unwrap_or(self.rest.len()).max(first.len_utf8());
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(token)
    }
}
