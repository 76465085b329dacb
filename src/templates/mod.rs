//! Texts for people: templates and the texts in them, for mail and pages.
//!
//! In: the built-in files, and optionally a folder of an operator, which replaces any of them by name or adds
//! a language (`texts.fr.toml`). Out: rendered text. Everything is read and checked once, when the folder is
//! loaded; rendering a page reads nothing from disk. HTML is escaped by default, so a value can never become
//! markup.

mod dates;
mod files;
mod filters;
mod language;
mod texts;

pub use dates::{Moment, Zone};
pub use language::Language;
pub use texts::TextsFault;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
    escape_formatter,
};

use crate::domain::{LanguagePriority, LanguageTag};
use files::{ASSETS, TEMPLATES};
use texts::Texts;

/// Reasons why templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    #[error("{}: {cause}", path.display())]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{file}: {cause}; use the built-in file as a model")]
    Template { file: String, cause: Error },
    #[error("{file}: {fault}")]
    Texts { file: String, fault: TextsFault },
    #[error("{template}: {cause:#}")]
    Render { template: String, cause: Error },
}

/// All templates, texts and assets; cheap to share behind an [`Arc`].
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    texts: Arc<Texts>,
    assets: BTreeMap<&'static str, Cow<'static, str>>,
    language_menu: Value,
}

/// The menu of languages, sorted by each language's name for itself; its tag stands in for a missing name.
fn menu_of(texts: &Texts) -> Value {
    let mut languages: Vec<&Language> = texts.languages().collect();
    languages.sort_by_key(|language| texts.name(language).to_lowercase());
    languages
        .into_iter()
        .map(|language| context! { name => texts.name(language), tag => language.as_str() })
        .collect()
}

impl Templates {
    /// Reads the built-in files, each replaced by the file of the same name in `folder`, if there is one.
    ///
    /// # Errors
    /// The first file that cannot be read, is not a template, or whose texts do not fit.
    pub fn load(folder: Option<&Path>) -> Result<Self, TemplatesError> {
        let texts = Arc::new(Texts::load(folder)?);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(whitespace()?);
        environment.set_formatter(write_value);
        for (name, built_in) in TEMPLATES {
            let source = own_file(folder, name)?.map_or(Cow::Borrowed(*built_in), Cow::Owned);
            environment
                .add_template_owned(*name, source)
                .map_err(|cause| TemplatesError::Template {
                    file: (*name).to_owned(),
                    cause,
                })?;
        }
        let of_text = Arc::clone(&texts);
        environment.add_function(
            "t",
            move |state: &State, key: String, arguments: Kwargs| -> Result<String, Error> {
                translate(&of_text, state, &key, &arguments)
            },
        );
        let of_date = Arc::clone(&texts);
        environment.add_filter(
            "when",
            move |state: &State, instant: String| -> Result<String, Error> {
                let instant: Timestamp = instant.parse().map_err(|cause: jiff::Error| {
                    Error::new(ErrorKind::InvalidOperation, cause.to_string())
                })?;
                let language = language_of(state);
                dates::format_date(&of_date, &language, &Zone::of(state), instant)
            },
        );
        filters::add(&mut environment);
        let mut assets = BTreeMap::new();
        for (name, built_in) in ASSETS {
            let text = own_file(folder, name)?.map_or(Cow::Borrowed(*built_in), Cow::Owned);
            assets.insert(*name, text);
        }
        Ok(Self {
            environment,
            language_menu: menu_of(&texts),
            texts,
            assets,
        })
    }

    /// The first of the wanted languages that is supported.
    #[must_use]
    pub fn choose(&self, wanted: &LanguagePriority) -> Option<Language> {
        language::choose(wanted, &self.texts.languages()).cloned()
    }

    /// A text as in its file; the English one if the language lacks it.
    #[must_use]
    pub fn text(&self, language: &Language, name: &str) -> Option<&str> {
        self.texts.get(language, name)
    }

    /// The supported languages, each with its name for itself and its tag, sorted by name, for templates.
    #[must_use]
    pub fn language_menu(&self) -> Value {
        self.language_menu.clone()
    }

    /// The supported languages.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.texts.languages()
    }

    /// Renders a template. The context must be a map; `lang` and `dir` are added to it, for attributes. Dates
    /// are in the [`Zone`] that it has as `zone`, otherwise in UTC.
    ///
    /// # Errors
    /// A template that names a missing value. The built-in ones do not; a test renders them all.
    pub fn render(
        &self,
        template: &str,
        language: &Language,
        context: &Value,
    ) -> Result<String, TemplatesError> {
        let fault = |cause| TemplatesError::Render {
            template: template.to_owned(),
            cause,
        };
        let all = minijinja::context! {
            lang => language.as_str(),
            dir => self.texts.direction(language),
            ..context.clone()
        };
        self.environment
            .get_template(template)
            .and_then(|found| found.render(all))
            .map_err(fault)
    }

    #[must_use]
    pub fn asset(&self, name: &str) -> Option<&str> {
        self.assets.get(name).map(AsRef::as_ref)
    }

    /// Names and contents of all assets.
    pub fn assets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.assets
            .iter()
            .map(|(name, text)| (*name, text.as_ref()))
    }
}

/// Every built-in file by the name under which an operator's folder replaces it.
pub fn built_in_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    texts::BUILT_IN
        .iter()
        .map(|(_, name, text)| (*name, *text))
        .chain(TEMPLATES.iter().copied())
        .chain(ASSETS.iter().copied())
}

/// Blocks leave no empty lines, so that a text mail looks like its template.
fn whitespace() -> Result<SyntaxConfig, TemplatesError> {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(|cause| TemplatesError::Template {
            file: "the syntax of templates".to_owned(),
            cause,
        })
}

/// Escapes the characters that are special in HTML text and quoted attributes, and nothing else: links stay
/// readable in the source of a mail.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        let zone = Zone::of(state);
        let text = if *state.auto_escape() == AutoEscape::Html {
            moment.element(&zone, Timestamp::now())
        } else {
            moment.full(&zone)
        };
        return Ok(out.write_str(&text)?);
    }
    if *state.auto_escape() != AutoEscape::Html || value.is_safe() || value.is_undefined() {
        return escape_formatter(out, state, value);
    }
    for c in value.to_string().chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            other => out.write_char(other)?,
        }
    }
    Ok(())
}

/// A file of the operator's folder; `None` if there is no folder or no such file in it.
fn own_file(folder: Option<&Path>, name: &str) -> Result<Option<String>, TemplatesError> {
    let Some(folder) = folder else {
        return Ok(None);
    };
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => Ok(None),
        Err(cause) => Err(TemplatesError::Unreadable { path, cause }),
    }
}

/// The no-break space, which keeps the parts of a date on one line.
pub const NO_BREAK_SPACE: char = '\u{a0}';

/// `t('key', name=value)`: the text in the page's language with its placeholders filled. With `count`, the
/// text in the plural form of that number.
fn translate(texts: &Texts, state: &State, key: &str, arguments: &Kwargs) -> Result<String, Error> {
    let language = language_of(state);
    let text = if arguments.has("count") {
        texts.get_plural(&language, key, arguments.get("count")?)
    } else {
        texts.get(&language, key)
    };
    let text = text.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("there is no text {key:?}"),
        )
    })?;
    let isolated = texts.direction(&language) == "rtl";
    let mut filled = String::with_capacity(text.len());
    for piece in texts::pieces(text) {
        match piece {
            texts::TextPiece::Plain(plain) => filled.push_str(plain),
            texts::TextPiece::Placeholder(name) => {
                // A template of version 0.1 does not pass values that later versions of the texts require.
                let value: Value = match state.lookup(name) {
                    Some(value) if !arguments.has(name) => value,
                    _ => arguments.get(name)?,
                };
                if isolated && !value.is_number() {
                    let _ = write!(filled, "{FIRST_STRONG_ISOLATE}{value}{POP_ISOLATE}");
                } else {
                    let _ = write!(filled, "{value}");
                }
            }
        }
    }
    Ok(filled)
}

/// Begins the isolation of a value in a right-to-left text: its characters are ordered among themselves, and
/// do not reorder the text around it (UAX 9, 2.4).
pub const FIRST_STRONG_ISOLATE: char = '\u{2068}';
/// Ends the isolation that [`FIRST_STRONG_ISOLATE`] begins.
pub const POP_ISOLATE: char = '\u{2069}';

fn language_of(state: &State) -> Language {
    state
        .lookup("lang")
        .and_then(|value| LanguageTag::parse(value.as_str()?).ok())
        .map(Language::of)
        .unwrap_or_default()
}

/// The built-in templates, loaded once for all tests of a process.
#[cfg(test)]
pub(crate) fn built_in() -> Arc<Templates> {
    static TEMPLATES: std::sync::OnceLock<Arc<Templates>> = std::sync::OnceLock::new();
    let load = || Arc::new(Templates::load(None).expect("the built-in templates"));
    Arc::clone(TEMPLATES.get_or_init(load))
}
