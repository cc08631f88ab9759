//! The dictionary of a `.npy` header, read from left to right: every byte once, no recursion, whatever it says.

use super::{Descr, Dictionary, NpyError};

/// NumPy's largest number of axes.
const MAX_RANK: usize = 64;

/// Reads the dictionary's text from left to right.
///
/// White space before whatever is asked for is passed over.
pub(crate) struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The whole text as a header's dictionary, of a file whose data start at this offset.
    pub(super) fn dictionary(mut self, data_offset: usize) -> Result<Dictionary, NpyError> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            let key_at = self.at;
            let key = self.string()?;
            self.expect(b':')?;
            let is_new = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => return Err(problem(key_at, format!("unknown key {key:?}"))),
            };
            if !is_new {
                return Err(problem(key_at, format!("key {key:?} twice")));
            }
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.end("nothing after the dictionary")?;
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => {
                Ok(Dictionary { descr, fortran_order, shape, data_offset })
            }
            _ => Err(problem(self.at, "`descr`, `fortran_order` or `shape` is missing")),
        }
    }

    /// A type: a string, or a list of fields, which is passed over.
    fn descr(&mut self) -> Result<Descr, NpyError> {
        if self.peek() != Some(b'[') {
            return self.string().map(Descr::Simple);
        }
        let start = self.at;
        let mut depth = 0_usize;
        let mut quote = None;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match (quote, byte) {
                (Some(open), _) if open == byte => quote = None,
                (Some(_), _) => {}
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[') => depth += 1,
                (None, b']') => depth -= 1,
                (None, _) => {}
            }
            if depth == 0 {
                return Ok(Descr::Structured(self.text[start..self.at].to_vec()));
            }
        }
        Err(problem(start, "a list of fields without its end"))
    }

    /// A string in either quotes, without escapes, which no writer of headers uses.
    pub(crate) fn string(&mut self) -> Result<String, NpyError> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return Err(self.unexpected("a string")),
        };
        let start = self.at + 1;
        let rest = &self.text[start..];
        let len = rest.iter().position(|&byte| byte == quote || byte == b'\\' || byte == b'\n');
        match len.filter(|&len| rest[len] == quote) {
            Some(len) => {
                self.at = start + len + 1;
                Ok(String::from_utf8_lossy(&rest[..len]).into_owned())
            }
            None => Err(problem(start, "a string without its end")),
        }
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    /// A tuple of lengths. Python 2 wrote long ones as `3L`.
    pub(crate) fn tuple(&mut self) -> Result<Vec<usize>, NpyError> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            if shape.len() == MAX_RANK {
                return Err(problem(self.at, format!("more than {MAX_RANK} axes")));
            }
            shape.push(self.number()?);
            if !self.take(b',') {
                // `(3)` is a number in parentheses.
                if shape.len() == 1 {
                    return Err(self.unexpected("a comma"));
                }
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, NpyError> {
        self.peek();
        let start = self.at;
        let digits = self.text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.unexpected("a length"));
        }
        self.at += digits;
        let mut value = 0_usize;
        for digit in &self.text[start..self.at] {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(usize::from(digit - b'0')))
                .ok_or_else(|| problem(start, "a length that overflows"))?;
        }
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(value)
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Refuses whatever follows.
    pub(crate) fn end(&mut self, wanted: &str) -> Result<(), NpyError> {
        if self.peek().is_some() { Err(self.unexpected(wanted)) } else { Ok(()) }
    }

    /// How far the text was read, in bytes.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), NpyError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(format_args!("`{}`", char::from(byte)))) }
    }

    fn unexpected(&self, wanted: impl std::fmt::Display) -> NpyError {
        let found = String::from_utf8_lossy(&self.text[self.at.min(self.text.len())..]);
        problem(self.at, format!("{:?}, wanted {wanted}", shortened(found.trim_end(), 60)))
    }
}

/// That something is wrong at a byte of the text.
pub(crate) fn problem(at: usize, problem: impl Into<String>) -> NpyError {
    NpyError::Header { at, problem: problem.into() }
}

/// At most the first characters of a text, for messages.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
