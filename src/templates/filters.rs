//! Filters of the operators' pages: codes become plain words, and instants full times.

use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::{Moment, Zone};
use crate::domain::Vocabulary;

pub(super) fn add(environment: &mut Environment) {
    environment.add_filter("words", words);
    environment.add_filter("full", full);
}

/// `code|words('reason')`: the plain words of a code.
fn words(code: &str, vocabulary: &str) -> Result<String, Error> {
    let found = Vocabulary::from_name(vocabulary).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("there is no vocabulary {vocabulary:?}"),
        )
    })?;
    Ok(found.words(code).to_owned())
}

/// `at|full`: the time to the second, with its zone.
fn full(state: &State, at: &Value) -> Result<String, Error> {
    let moment = at
        .downcast_object_ref::<Moment>()
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "this is not an instant"))?;
    Ok(moment.full(&Zone::of(state)))
}
