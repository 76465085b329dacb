//! `[store]`: the location of the database, a file in `data_dir` or a PostgreSQL server.

use std::path::Path;

use crate::config::document::TomlSection;
use crate::config::{PostgresServer, PostgresTls, StoreConfig};

/// Keys for a server, which have no meaning for a file.
const OF_A_SERVER: &[&str] = &[
    "url",
    "schema",
    "password_file",
    "credential",
    "ca_file",
    "pooler",
    "readers",
    "long_readers",
];

/// `None` if the location could not be read, which is reported.
pub(super) fn read(section: &TomlSection<'_>, data_dir: &Path) -> Option<StoreConfig> {
    let kinds = &[("sqlite", false), ("postgres", true)];
    let is_server = match section.entry("type") {
        Some(entry) => entry.choice(kinds)?,
        None => false,
    };
    if !is_server {
        let wrong = OF_A_SERVER.iter().filter_map(|key| section.entry(key));
        for entry in wrong {
            entry.refuse("applies to a server only; write type = \"postgres\", or remove it");
        }
        return Some(StoreConfig::Sqlite);
    }
    let url = section.entry("url");
    if url.is_none() {
        section.refuse(
            "needs url = \"postgres://USER@HOST/DATABASE\", with several HOST:PORT between commas",
        );
    }
    let server = url.and_then(|entry| entry.parse(PostgresServer::parse));
    let schema = section
        .entry("schema")
        .and_then(|entry| entry.parse(PostgresServer::parse_schema));
    let ca_file = section.entry("ca_file");
    let password = section.secret_of_every_command();
    let pooler = section.switch("pooler", false);
    let readers = section.number("readers", 4, 1..=100);
    let long_readers = section.number("long_readers", 2, 1..=100);
    let mut server = server?;
    if let Some(schema) = schema {
        server.schema = schema;
    }
    if let Some(entry) = ca_file {
        let is_checked = matches!(server.tls, PostgresTls::VerifyCa | PostgresTls::VerifyFull);
        if !is_checked {
            entry.refuse("has no effect without sslmode=verify-full (or verify-ca) in url");
        }
        server.ca_file = entry.path();
    }
    server.password = password.unwrap_or_default();
    server.pooler = pooler;
    server.readers = readers;
    server.long_readers = long_readers;
    server.node_file = Some(data_dir.join("node-id"));
    Some(StoreConfig::Postgres(Box::new(server)))
}
