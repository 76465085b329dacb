//! `[access]` and `[portal.access]`: the first revision of the access settings; and all settings in a file of their
//! own, as `vestibule access export` writes them.

use crate::access::{AccessSettings, Key, Overrides, Settings, Value};
use crate::config::document::TomlSection;
use crate::domain::{GroupName, PortalName};

/// Reads a file with access settings only.
pub(in crate::config) fn document(root: &TomlSection<'_>) -> AccessSettings {
    let mut settings = AccessSettings {
        site: site(root),
        ..AccessSettings::default()
    };
    let portals = root.section("portal").subsections("[portal.NAME]");
    for (name, section) in portals {
        let name = PortalName::parse(name)
            .map_err(|cause| section.refuse(cause))
            .ok();
        let own = overrides(section);
        settings.portals.extend(name.map(|name| (name, own)));
    }
    settings
}

pub(super) fn site(section: &TomlSection<'_>) -> Settings {
    let mut settings = Settings::default();
    each(section, |key, value| key.put(&mut settings, value));
    settings
}

pub(super) fn overrides(mut section: TomlSection<'_>) -> Overrides {
    section.set_kind("access");
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
                .map(|patterns| Value::Domains(patterns.into())),
            Value::Groups(_) => entry
                .list(|text| GroupName::parse(text).map(String::from))
                .map(Value::Groups),
        };
        if let Some(value) = value {
            put(key, value);
        }
    }
}
