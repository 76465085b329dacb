//! `[access]` and `[portal.access]`: the first revision of the access settings.

use crate::access::{Key, Overrides, Settings, Value};
use crate::config::document::TomlSection;

pub(super) fn site(section: &TomlSection<'_>) -> Settings {
    let mut settings = Settings::default();
    each(section, |key, value| key.put(&mut settings, value));
    settings
}

pub(super) fn overrides(mut section: TomlSection<'_>) -> Overrides {
    section.is_of_kind("access");
    let mut own = Overrides::default();
    each(&section, |key, value| {
        key.put_override(&mut own, Some(value));
    });
    own
}

fn each(section: &TomlSection<'_>, mut put: impl FnMut(Key, Value)) {
    let internal = section.section("internal");
    let external = section.section("external");
    for key in Key::ALL {
        let entry = match key.as_str().split_once('.') {
            Some(("internal", name)) => internal.entry(name),
            Some((_, name)) => external.entry(name),
            None => section.entry(key.as_str()),
        };
        let Some(entry) = entry else {
            continue;
        };
        // The default determines the type.
        let value = match key.of(&Settings::default()) {
            Value::Switch(_) => entry.switch().map(Value::Switch),
            Value::Domains(_) => entry
                .list(|text| key.parse_pattern(text))
                .map(Value::Domains),
            Value::Groups(_) => entry.list(group_name).map(Value::Groups),
        };
        if let Some(value) = value {
            put(key, value);
        }
    }
}

/// Refuses commas, which separate groups elsewhere, and control characters, which could end a header field.
fn group_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.contains(|c: char| c.is_control() || c == ',') {
        return Err(format!("{text:?} is not the name of a group"));
    }
    Ok(name.to_owned())
}
