//! Parser of `Authentication-Results` fields, by the complete grammar of RFC 8601 2.2.
//!
//! Takes one unfolded value. Returns the server that wrote it, then each result with its properties; a value
//! that does not parse has no results at all. Programs put text from unknown senders into such a field, above
//! all an envelope sender, and not all of them escape it well. So nothing is guessed: comments and quoted
//! strings must be balanced, each result must be complete, and a comment or quoted string that could hide a
//! DMARC result makes the field unreadable. The few deviations of known programs that are read cannot become a
//! result of their own.
//!
//! One pass from left to right, without recursion. Of each result only the first few properties and comments
//! are kept.

use std::borrow::Cow;

/// Maximum number of properties and comments kept of one result; programs write at most half as many.
const MAX_KEPT: usize = 16;

/// The value does not match the grammar of RFC 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Iterates over the results of a field; [`ResultsField::new`] has parsed the part before them.
#[derive(Debug, Clone)]
pub(crate) struct ResultsField<'a> {
    authserv_id: Cow<'a, str>,
    cursor: Cursor<'a>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No result was parsed yet, so `none` may stand for all of them.
    First,
    Next,
    Done,
}

/// One `method=result` with its properties and comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MethodResult<'a> {
    /// As written, in any letter case, like the result.
    pub method: &'a str,
    pub result: &'a str,
    /// `ptype.property` and value, in their order, such as `header.from`.
    pub properties: Vec<(&'a str, &'a str, Cow<'a, str>)>,
    /// The text of the comments, without the outermost parentheses.
    pub comments: Vec<&'a str>,
}

impl MethodResult<'_> {
    /// True if there may be more properties or comments than those kept.
    pub(crate) fn may_lack_parts(&self) -> bool {
        self.properties.len() == MAX_KEPT || self.comments.len() == MAX_KEPT
    }
}

impl<'a> ResultsField<'a> {
    /// Parses `[CFWS] authserv-id [CFWS version]`.
    ///
    /// # Errors
    /// The value begins differently, or has an unknown version.
    pub(crate) fn new(value: &'a str) -> Result<Self, Malformed> {
        let mut cursor = Cursor { rest: value };
        cursor.skip_cfws(&mut Vec::new())?;
        let authserv_id = cursor.value()?;
        cursor.skip_cfws(&mut Vec::new())?;
        if !cursor.rest.is_empty() && !cursor.rest.starts_with(';') {
            if cursor.take_while(|c| c.is_ascii_digit()) != "1" {
                return Err(Malformed);
            }
            cursor.skip_cfws(&mut Vec::new())?;
        }
        Ok(Self {
            authserv_id,
            cursor,
            state: State::First,
        })
    }

    /// Parses the value of an `ARC-Authentication-Results` field (RFC 8617 4.1.1): an instance, then the same
    /// grammar.
    ///
    /// # Errors
    /// As [`new`](Self::new), or without a leading `i=`.
    pub(crate) fn of_arc(value: &'a str) -> Result<(u32, Self), Malformed> {
        let mut cursor = Cursor { rest: value };
        let mut comments = Vec::new();
        cursor.skip_cfws(&mut comments)?;
        if !cursor.keyword()?.eq_ignore_ascii_case("i") {
            return Err(Malformed);
        }
        cursor.skip_cfws(&mut comments)?;
        cursor.expect('=')?;
        cursor.skip_cfws(&mut comments)?;
        let instance = cursor.take_while(|c| c.is_ascii_digit());
        let instance = instance.parse().map_err(|_| Malformed)?;
        cursor.skip_cfws(&mut comments)?;
        cursor.expect(';')?;
        Ok((instance, Self::new(cursor.rest)?))
    }

    /// Identifier of the server that wrote the field, unquoted.
    pub(crate) fn authserv_id(&self) -> &str {
        &self.authserv_id
    }

    /// True if the remaining value parses.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.clone().all(|result| result.is_ok())
    }

    /// The next result; None if `none` stands for all of them.
    fn read(&mut self) -> Result<Option<MethodResult<'a>>, Malformed> {
        let cursor = &mut self.cursor;
        cursor.expect(';')?;
        let mut comments = Vec::new();
        cursor.skip_cfws(&mut comments)?;
        let method = cursor.keyword()?;
        cursor.skip_cfws(&mut comments)?;
        if self.state == State::First && cursor.is_at_end() && method.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        if cursor.accept('/') {
            cursor.skip_cfws(&mut comments)?;
            if cursor.take_while(|c| c.is_ascii_digit()) != "1" {
                return Err(Malformed);
            }
            cursor.skip_cfws(&mut comments)?;
        }
        cursor.expect('=')?;
        cursor.skip_cfws(&mut comments)?;
        let mut found = MethodResult {
            method,
            result: cursor.keyword()?,
            properties: Vec::new(),
            comments,
        };
        loop {
            let spaced = cursor.skip_cfws(&mut found.comments)?;
            if cursor.rest.is_empty() || cursor.rest.starts_with(';') {
                return Ok(Some(found));
            }
            if !spaced {
                return Err(Malformed);
            }
            cursor.property(&mut found)?;
        }
    }
}

impl<'a> Iterator for ResultsField<'a> {
    type Item = Result<MethodResult<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done || self.state == State::Next && self.cursor.is_at_end() {
            return None;
        }
        let read = self.read();
        self.state = match &read {
            Ok(Some(_)) => State::Next,
            Ok(None) | Err(Malformed) => State::Done,
        };
        read.transpose()
    }
}

/// The text still to be parsed.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn accept(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// True at the end, and before a final semicolon, which is not in the grammar, but which Yahoo writes.
    fn is_at_end(&self) -> bool {
        let rest = self.rest.strip_prefix(';').unwrap_or(self.rest);
        rest.trim_start_matches([' ', '\t']).is_empty()
    }

    fn expect(&mut self, c: char) -> Result<(), Malformed> {
        self.accept(c).then_some(()).ok_or(Malformed)
    }

    /// Skips comments and white space (RFC 5322 3.2.2); returns true if there were any.
    fn skip_cfws(&mut self, comments: &mut Vec<&'a str>) -> Result<bool, Malformed> {
        let before = self.rest.len();
        loop {
            self.take_while(|c| c == ' ' || c == '\t');
            if !self.rest.starts_with('(') {
                return Ok(self.rest.len() < before);
            }
            let comment = self.comment()?;
            if comments.len() < MAX_KEPT {
                comments.push(comment);
            }
        }
    }

    /// Text of one comment, including nested ones.
    fn comment(&mut self) -> Result<&'a str, Malformed> {
        let mut depth = 0_usize;
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                c if is_control(c) => return Err(Malformed),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => depth += 1,
                ')' => {
                    depth -= 1;
                    if depth == 0 {
                        let text = &self.rest[1..at];
                        self.rest = &self.rest[at + 1..];
                        return swallows_nothing(text).map(|()| text);
                    }
                }
                _ => {}
            }
        }
        Err(Malformed)
    }

    /// Text between the quotes, including escapes; the cursor is at the first quote.
    fn parse_quoted(&mut self) -> Result<&'a str, Malformed> {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                c if is_control(c) => return Err(Malformed),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let text = &self.rest[1..at];
                    self.rest = &self.rest[at + 1..];
                    return swallows_nothing(text).map(|()| text);
                }
                _ => {}
            }
        }
        Err(Malformed)
    }

    /// A token (RFC 2045 5.1) or a quoted string.
    fn value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if self.rest.starts_with('"') {
            return Ok(unescape(self.parse_quoted()?));
        }
        let token = self.take_while(|c| {
            !is_control(c) && c != ' ' && c != '\t' && !"()<>@,;:\\\"/[]?=".contains(c)
        });
        (!token.is_empty())
            .then_some(Cow::Borrowed(token))
            .ok_or(Malformed)
    }

    /// RFC 5321's `Keyword`: a method, a result, a type of property.
    fn keyword(&mut self) -> Result<&'a str, Malformed> {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let ends_well = word.ends_with(|c: char| c.is_ascii_alphanumeric());
        ends_well.then_some(word).ok_or(Malformed)
    }

    /// `ptype.property=value`, or a name without a type.
    fn property(&mut self, found: &mut MethodResult<'a>) -> Result<(), Malformed> {
        let comments = &mut found.comments;
        let kind = self.keyword()?;
        self.skip_cfws(comments)?;
        let property = if self.accept('.') {
            self.skip_cfws(comments)?;
            let name = self.keyword()?;
            self.skip_cfws(comments)?;
            Some((kind, name))
        } else {
            untyped_property(found.method, kind)?
        };
        self.expect('=')?;
        self.skip_cfws(comments)?;
        let value = self.property_value()?;
        if let Some((kind, name)) = property
            && found.properties.len() < MAX_KEPT
        {
            found.properties.push((kind, name, value));
        }
        Ok(())
    }

    /// A value, or an address whose local part may be quoted. In signatures and IPv6 addresses, programs
    /// leave characters unquoted that a token must not contain; they do no harm here.
    fn property_value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let whole = self.rest;
        let mut quoted = None;
        loop {
            if self.rest.starts_with('"') {
                quoted = Some(self.parse_quoted()?);
            }
            self.take_while(|c| !is_control(c) && !" \t;()\"\\".contains(c));
            if !self.rest.starts_with('"') {
                break;
            }
        }
        let text = &whole[..whole.len() - self.rest.len()];
        match quoted {
            Some(quoted) if quoted.len() + 2 == text.len() => Ok(unescape(quoted)),
            _ if text.is_empty() => Err(Malformed),
            _ => Ok(Cow::Borrowed(text)),
        }
    }
}

/// The property that a name without a type stands for. A `reason` is none; Microsoft's `action`, and Cisco's `d`
/// of a DMARC result, the domain in From, are not in the grammar.
fn untyped_property(
    method: &str,
    name: &str,
) -> Result<Option<(&'static str, &'static str)>, Malformed> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("reason") || is("action") {
        Ok(None)
    } else if is("d") && method.eq_ignore_ascii_case("dmarc") {
        Ok(Some(("header", "from")))
    } else {
        Err(Malformed)
    }
}

/// True for a control character, including a bare CR: two readers could see two different fields.
fn is_control(c: char) -> bool {
    c.is_control() && c != '\t'
}

/// Checks that no DMARC result is hidden in a comment or quoted string. A program may have written it between
/// two texts of a sender, one of which opens a comment that the other closes.
fn swallows_nothing(text: &str) -> Result<(), Malformed> {
    let swallowed = text.split(';').skip(1).any(|part| {
        let part = part.trim_start().as_bytes();
        part.get(..5)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"dmarc"))
            && matches!(part[5..].trim_ascii_start().first(), Some(b'=' | b'/'))
    });
    if swallowed { Err(Malformed) } else { Ok(()) }
}

/// Text of a quoted string without its backslashes (RFC 5322 3.2.1).
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests;
