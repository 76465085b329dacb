//! A PostgreSQL server that syncs, unlike that of the tests.

use crate::postgres::Server;

pub fn start_syncing() -> Server {
    let server = Server::start();
    for setting in ["fsync", "full_page_writes"] {
        server.run("public", &format!("ALTER SYSTEM SET {setting} = on"));
    }
    server.run("public", "SELECT pg_reload_conf()");
    while server.run("public", "SHOW fsync") != ["on"] {
        std::thread::yield_now();
    }
    server
}
