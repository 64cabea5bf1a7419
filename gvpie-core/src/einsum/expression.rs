//! The grammar: which index each axis of an operand has.
//!
//! ```text
//! expression  ← subscripts ("," subscripts)* ("->" subscripts)?
//! subscripts  ← letter* ("..." letter*)?
//! letter      ← "A".."Z" | "a".."z"
//! ```
//!
//! Spaces may stand anywhere but within "..." and "->". Without "->" the result has the axes of the
//! ellipsis, then the letters that occur once, in the order of their codes. All of it is NumPy's.

use super::indices::{Indices, Set};
use crate::error::{Error, Result};
use crate::shape::Shape;

/// The indices of one operand or of the result, as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Subscripts {
    /// Letters, and where each of them stands.
    letters: Vec<(char, usize)>,
    /// Before which of the letters an ellipsis stands, if there is one.
    ellipsis: Option<usize>,
    /// Where the subscripts begin.
    at: usize,
}

/// A parsed expression, not yet held against shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    text: String,
    inputs: Vec<Subscripts>,
    output: Option<Subscripts>,
}

/// An expression with the shapes of its operands: every index has an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub indices: Indices,
    /// The index of each axis of each operand; `None` for an axis of one element along which the
    /// operand is the same for all elements of the index.
    pub inputs: Vec<Vec<Option<usize>>>,
    /// The index of each axis of the result.
    pub output: Vec<usize>,
}

impl Expression {
    pub fn parse(text: &str) -> Result<Self> {
        let mistake =
            |at: usize, reason: String| Error::Expression { expression: text.into(), at, reason };
        let characters: Vec<char> = text.chars().collect();
        let starts = |at: usize, word: &str| {
            word.chars().enumerate().all(|(i, c)| characters.get(at + i) == Some(&c))
        };
        let mut inputs: Vec<Subscripts> = Vec::new();
        let mut current = Subscripts::default();
        let mut in_output = false;
        let mut at = 0;
        while let Some(&c) = characters.get(at) {
            match c {
                ' ' => {}
                'a'..='z' | 'A'..='Z' => current.letters.push((c, at)),
                '.' if starts(at, "...") => {
                    if current.ellipsis.is_some() {
                        return Err(mistake(at, "a second ellipsis in the same subscripts".into()));
                    }
                    current.ellipsis = Some(current.letters.len());
                    at += 2;
                }
                '.' => return Err(mistake(at, "expected an ellipsis, '...'".into())),
                ',' if in_output => {
                    return Err(mistake(at, "there is one result: no ',' after '->'".into()));
                }
                ',' => {
                    let next = Subscripts { at: at + 1, ..Subscripts::default() };
                    inputs.push(std::mem::replace(&mut current, next));
                }
                '-' if starts(at, "->") => {
                    if in_output {
                        return Err(mistake(at, "a second '->'".into()));
                    }
                    let next = Subscripts { at: at + 2, ..Subscripts::default() };
                    inputs.push(std::mem::replace(&mut current, next));
                    in_output = true;
                    at += 1;
                }
                '-' => return Err(mistake(at, "expected '->'".into())),
                other => {
                    let shown = other.escape_debug();
                    let words =
                        format!("'{shown}' is no index: indices are the letters a-z and A-Z");
                    return Err(mistake(at, words));
                }
            }
            at += 1;
        }
        let output = match in_output {
            true => Some(current),
            false => {
                inputs.push(current);
                None
            }
        };
        for (i, &(letter, at)) in output.iter().flat_map(|o| o.letters.iter().enumerate()) {
            let before = output.iter().flat_map(|o| &o.letters[..i]);
            if before.into_iter().any(|&(other, _)| other == letter) {
                return Err(mistake(at, format!("index '{letter}' is in the result twice")));
            }
            if !inputs.iter().any(|input| input.letters.iter().any(|&(c, _)| c == letter)) {
                return Err(mistake(
                    at,
                    format!("index '{letter}' of the result is in no operand"),
                ));
            }
        }
        Ok(Expression { text: text.into(), inputs, output })
    }

    fn mistake(&self, at: usize, reason: String) -> Error {
        Error::Expression { expression: self.text.clone(), at, reason }
    }

    /// The expression with the extents of its indices.
    pub fn bind(&self, shapes: &[Shape]) -> Result<Bound> {
        if shapes.len() != self.inputs.len() {
            let at = self.inputs.get(shapes.len()).map_or(self.text.chars().count(), |s| s.at);
            let words =
                |n: usize| if n == 1 { "1 operand".into() } else { format!("{n} operands") };
            let (expected, found) = (words(self.inputs.len()), words(shapes.len()));
            return Err(
                self.mistake(at, format!("the expression is for {expected}, found {found}"))
            );
        }
        let mut broadcast = 0; // the most axes that an ellipsis stands for
        for (operand, (subscripts, shape)) in self.inputs.iter().zip(shapes).enumerate() {
            let (rank, letters) = (shape.rank(), subscripts.letters.len());
            match subscripts.ellipsis {
                Some(_) if rank >= letters => broadcast = broadcast.max(rank - letters),
                None if rank == letters => {}
                ellipsis => {
                    let least = if ellipsis.is_some() { "at least " } else { "" };
                    let words = format!(
                        "operand {}: expected {least}{letters} axes, found shape {shape}",
                        operand + 1
                    );
                    return Err(self.mistake(subscripts.at, words));
                }
            }
        }
        if let Some(output) = &self.output
            && output.ellipsis.is_none()
            && broadcast > 0
        {
            let words =
                format!("the result needs an ellipsis for the {broadcast} axes of operands'");
            return Err(self.mistake(output.at, words));
        }
        let mut indices = Indices::default();
        let mut letters: Vec<char> =
            self.inputs.iter().flat_map(|input| input.letters.iter().map(|&(c, _)| c)).collect();
        letters.sort_unstable();
        let spare =
            ('a'..='z').chain('A'..='Z').chain('\u{3b1}'..).filter(|c| !letters.contains(c));
        let spare: Vec<char> = spare.take(broadcast).collect();
        let mut unique = letters.clone();
        unique.dedup();
        for name in spare.iter().chain(&unique) {
            indices.add(*name, 1)?;
        }
        let id = |letter: char| broadcast + unique.partition_point(|&other| other < letter);
        let mut inputs = Vec::new();
        for (subscripts, shape) in self.inputs.iter().zip(shapes) {
            let named: Vec<usize> = subscripts.letters.iter().map(|&(c, _)| id(c)).collect();
            let unnamed = shape.rank() - named.len();
            inputs.push(subscripts.spread(&named, broadcast - unnamed..broadcast));
        }
        let output = match &self.output {
            Some(output) => {
                let named: Vec<usize> = output.letters.iter().map(|&(c, _)| id(c)).collect();
                output.spread(&named, 0..broadcast)
            }
            None => {
                let once =
                    |letter: &&char| letters.iter().filter(|other| other == letter).count() == 1;
                (0..broadcast).chain(unique.iter().filter(once).map(|&c| id(c))).collect()
            }
        };
        self.measure(&mut indices, &inputs, shapes)?;
        let kept = |(axes, shape): (Vec<usize>, &Shape)| {
            let axis = |(index, &extent): (usize, &usize)| {
                (extent == indices.extents[index]).then_some(index)
            };
            axes.into_iter().zip(shape.dims()).map(axis).collect()
        };
        let inputs = inputs.into_iter().zip(shapes).map(kept).collect();
        Ok(Bound { indices, inputs, output })
    }

    /// Finds the extent of every index: that of its axes, where those of one element fit any other.
    fn measure(
        &self,
        indices: &mut Indices,
        inputs: &[Vec<usize>],
        shapes: &[Shape],
    ) -> Result<()> {
        let mut first: Vec<Option<usize>> = vec![None; indices.extents.len()];
        for (operand, (axes, shape)) in inputs.iter().zip(shapes).enumerate() {
            for (axis, (&index, &extent)) in axes.iter().zip(shape.dims()).enumerate() {
                let name = indices.names[index];
                let at = self.place(operand, axis, shape.rank());
                // Along a diagonal NumPy fits nothing.
                let other = axes[..axis].iter().position(|&before| before == index);
                if let Some(before) = other
                    && shape.dims()[before] != extent
                {
                    let words = format!(
                        "index '{name}': operand {} has {} and {extent} elements along its axes {before} and {axis}",
                        operand + 1,
                        shape.dims()[before],
                    );
                    return Err(self.mistake(at, words));
                }
                let known = &mut indices.extents[index];
                match first[index] {
                    _ if extent == 1 => {}
                    Some(before) if *known != extent => {
                        let words = format!(
                            "index '{name}': operand {} has {extent} elements along axis {axis}, operand {} has {known}",
                            operand + 1,
                            before + 1,
                        );
                        return Err(self.mistake(at, words));
                    }
                    _ => {
                        *known = extent;
                        first[index] = Some(operand);
                    }
                }
            }
        }
        Ok(())
    }

    /// Where an axis of an operand stands in the text: its letter, or the beginning of the subscripts.
    fn place(&self, operand: usize, axis: usize, rank: usize) -> usize {
        let subscripts = &self.inputs[operand];
        let unnamed = rank - subscripts.letters.len();
        let letter = match subscripts.ellipsis {
            Some(before) if axis >= before + unnamed => axis - unnamed,
            Some(before) if axis >= before => return subscripts.at,
            _ => axis,
        };
        subscripts.letters.get(letter).map_or(subscripts.at, |&(_, at)| at)
    }
}

impl Subscripts {
    /// The named indices with those of the ellipsis in its place.
    fn spread(&self, named: &[usize], ellipsis: std::ops::Range<usize>) -> Vec<usize> {
        let (before, after) = named.split_at(self.ellipsis.unwrap_or(named.len()));
        match self.ellipsis {
            Some(_) => {
                before.iter().copied().chain(ellipsis).chain(after.iter().copied()).collect()
            }
            None => named.to_vec(),
        }
    }
}

impl Bound {
    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        Shape::from(
            self.output.iter().map(|&index| self.indices.extents[index]).collect::<Vec<_>>(),
        )
    }

    /// The indices that an operand depends on and that have more than one element.
    pub fn set(&self, operand: usize) -> Set {
        let walked = |&index: &usize| self.indices.extents[index] != 1;
        Set::of(self.inputs[operand].iter().flatten().copied().filter(walked))
    }

    /// The same of the result.
    pub fn result(&self) -> Set {
        let walked = |&index: &usize| self.indices.extents[index] != 1;
        Set::of(self.output.iter().copied().filter(walked))
    }
}
