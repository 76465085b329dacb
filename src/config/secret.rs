//! Secrets from a file or a systemd credential, never from the configuration itself.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::document::TomlSection;
use super::entry::TomlEntry;

/// Maximum octets of a secret's file. A secret is one line; a larger file is the wrong one.
const MAX_FILE: usize = 64 * 1024;

/// Selects whether secrets, certificates and keys are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    /// For the daemon, which needs them, and `check`.
    Read {
        /// `$CREDENTIALS_DIRECTORY`, in which systemd stores the credentials of a service.
        credentials: Option<PathBuf>,
    },
    /// Secrets in files only, for commands that run while the service does not: its credentials do not exist
    /// then, and count as empty.
    ReadFiles,
    /// For commands that only use the database: their users may not be allowed to read secrets, and a
    /// credential exists for the service alone. Every password is empty then.
    Leave,
}

/// A secret, which is never displayed. Secrets are comparable, so that a reload can detect a change.
#[derive(Debug, Clone, Default)]
pub struct Secret(SecretString);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret() == other.expose_secret()
    }
}

impl Eq for Secret {}

impl Deref for Secret {
    type Target = SecretString;

    fn deref(&self) -> &SecretString {
        &self.0
    }
}

impl<T: Into<SecretString>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Two keys for one secret: the path of a file, or the name of a credential.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub file: &'static str,
    pub credential: &'static str,
    /// The key that people try for an inline secret; refused with an explanation.
    pub inline: &'static str,
}

pub(super) const PASSWORD: Keys = Keys {
    file: "password_file",
    credential: "credential",
    inline: "password",
};

pub(super) const WEBHOOK_SECRET: Keys = Keys {
    file: "secret_file",
    credential: "secret_credential",
    inline: "secret",
};

pub(super) const BEARER: Keys = Keys {
    file: "bearer_file",
    credential: "bearer_credential",
    inline: "bearer",
};

/// The folder of the service's credentials while it runs.
const OF_THE_SERVICE: &str = "/run/credentials/vestibule.service";

impl Secrets {
    /// For the service itself.
    #[must_use]
    pub fn of_the_environment() -> Self {
        Self::Read {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// For commands that examine the service from outside with sufficient permissions: its credentials are
    /// available while it runs. If they are not needed, the caller works without them.
    #[must_use]
    pub fn of_the_service(are_needed: bool) -> Self {
        let running = Path::new(OF_THE_SERVICE);
        match Self::of_the_environment() {
            Self::Read { credentials: None } if running.is_dir() => Self::Read {
                credentials: Some(running.to_owned()),
            },
            Self::Read { credentials: None } if !are_needed => Self::ReadFiles,
            found => found,
        }
    }
}

impl TomlSection<'_> {
    /// The secret that one of the two keys names. `None` if there is none, or if it cannot be read, which is
    /// reported.
    pub fn secret(&self, keys: Keys) -> Option<Secret> {
        self.secret_by(keys, &self.document().secrets)
    }

    /// True if the section has a key of this secret, even a refused one.
    pub fn has_secret(&self, keys: Keys) -> bool {
        let Keys {
            file,
            credential,
            inline,
        } = keys;
        [file, credential, inline].iter().any(|key| self.has(key))
    }

    fn secret_by(&self, keys: Keys, secrets: &Secrets) -> Option<Secret> {
        self.never_inline(keys.inline, &format!("{} = \"/path/to/it\"", keys.file));
        let file = self.entry(keys.file);
        let credential = self.entry(keys.credential);
        let (entry, credential) = match (file, credential) {
            (None, None) => return None,
            (Some(_), Some(entry)) => {
                entry.refuse(format_args!(
                    "is set together with {}; set only one of the two",
                    keys.file
                ));
                return None;
            }
            (Some(entry), None) => (entry, None),
            (None, Some(entry)) => (entry, Some(keys.file)),
        };
        let place = entry.some_text()?;
        self.secret_at(&entry, place, credential, secrets)
    }

    /// The password of the database, which every command needs. The service's credential is used by any process
    /// that may read it.
    pub fn secret_of_every_command(&self) -> Option<Secret> {
        let secrets = match &self.document().secrets {
            Secrets::Leave | Secrets::ReadFiles => Secrets::of_the_service(true),
            read @ Secrets::Read { .. } => read.clone(),
        };
        self.secret_by(PASSWORD, &secrets)
    }

    /// The secret in a file, or in a credential; in the latter case `credential` is the key that names a file
    /// instead. Mistakes are reported at `entry`.
    pub fn secret_at(
        &self,
        entry: &TomlEntry<'_>,
        place: &str,
        credential: Option<&str>,
        secrets: &Secrets,
    ) -> Option<Secret> {
        let path = if let Some(file) = credential {
            if place.contains('/') || place.starts_with('.') {
                entry.refuse(format_args!(
                    "{place:?} is not the name of a credential; for a path write {file}"
                ));
                return None;
            }
            let credentials = match secrets {
                Secrets::Read { credentials } => credentials,
                Secrets::ReadFiles | Secrets::Leave => return Some(Secret::default()),
            };
            let Some(folder) = credentials else {
                entry.refuse(format_args!(
                    "only the service has credentials; start it with \
                     LoadCredential={place}:/path/to/it, or write {file}; to check before it is \
                     started: CREDENTIALS_DIRECTORY=/path/to vestibule check"
                ));
                return None;
            };
            folder.join(place)
        } else {
            self.document().resolve(place)
        };
        if *secrets == Secrets::Leave {
            return Some(Secret::default());
        }
        let secret = read(&path).map_err(|cause| entry.refuse(cause)).ok()?;
        self.document().secret_files.borrow_mut().push(path);
        Some(secret)
    }
}

/// The file's text without the newline that editors add at its end.
///
/// # Errors
/// It cannot be read, is empty, or has more than one line.
pub fn read(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|cause| format!("{shown} cannot be read: {}", super::why(&cause)))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(format!("{shown} is empty; put the secret into it"));
    }
    if text.len() > MAX_FILE || text.contains(['\n', '\r', '\0']) {
        return Err(format!(
            "{shown} has more than one line; a secret is one line"
        ));
    }
    Ok(text.into())
}
