//! PostgreSQL for a test program: one server in a temporary folder, on a Unix socket, and a schema for each test.
//! The server ends with the program, however the program ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Debian's packages have a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Name of the superuser, and of the database that stores share.
const USER: &str = "vestibule";

/// Shell script that starts the server, reports that, and stops the server at the end of its input. The pipe is
/// closed when the test program ends, even if it is killed; no child of the program inherits its other end.
const WATCH: &str = r#"
    set -eu
    folder=$1; programs=$2
    "$programs/initdb" --no-sync --no-locale --encoding=UTF8 --auth=trust --username=vestibule \
        --pgdata="$folder/data" >"$folder/log" 2>&1
    cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$folder'
fsync = off
full_page_writes = off
max_connections = 400
shared_buffers = 32MB
log_min_messages = error
END
    "$programs/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --timeout=300 start >/dev/null
    "$programs/createdb" --host="$folder" --username=vestibule vestibule
    echo ready
    cat >/dev/null
    "$programs/pg_ctl" --pgdata="$folder/data" --mode=immediate --wait stop >/dev/null 2>&1 || :
    rm -rf "$folder"
"#;

/// A running server.
pub struct Server {
    /// Folder of the socket.
    pub folder: PathBuf,
    programs: PathBuf,
    /// Open for as long as this program runs.
    _watch: ChildStdin,
}

/// A schema for a store.
#[derive(Debug, Clone)]
pub struct Schema {
    pub name: String,
    /// URL of the store, in the form of `[store] url`.
    pub url: String,
}

/// The server of this program, which starts when the first test needs it.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    /// Starts a server, for a test that changes its settings.
    #[expect(
        clippy::zombie_processes,
        reason = "it ends with this program, or after it"
    )]
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new()
            .prefix("pg-")
            .tempdir()
            .expect("a folder")
            .keep();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WATCH, "watch"])
            .arg(&folder)
            .arg(&programs);
        if rustix::process::getuid().is_root() {
            // PostgreSQL refuses to run as root. Its package has a user.
            let (user, group) = user_of_package();
            chown(&folder, Some(user), Some(group)).expect("the folder of another user");
            command.uid(user).gid(group);
        }
        let mut child = command
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &folder)
            // A signal to the process group of the test program does not end the server.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let mut said = String::new();
        let output = child.stdout.take().expect("a pipe");
        let _ = BufReader::new(output).read_line(&mut said);
        if said.trim() != "ready" {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("PostgreSQL did not start: {log}");
        }
        Self {
            folder,
            programs,
            _watch: child.stdin.take().expect("a pipe"),
        }
    }

    /// A new schema, in which a store can be created.
    pub fn schema(&self) -> Schema {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("store_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.display();
        Schema {
            url: format!("postgresql://{USER}@/{USER}?host={folder}&schema={name}"),
            name,
        }
    }

    /// A `psql` in a schema.
    pub fn psql(&self, schema: &str) -> Command {
        let options = format!("-c search_path={schema} -c client_min_messages=warning");
        let mut command = self.client("psql");
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", USER])
            .env("PGOPTIONS", options);
        command
    }

    /// The rows of a schema, as `pg_dump` writes them.
    pub fn dump(&self, schema: &str) -> String {
        let mut command = self.client("pg_dump");
        command.args(["--data-only", "--schema", schema, USER]);
        let output = command.output().expect("pg_dump");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env_clear()
            .args(["--username", USER, "--host"])
            .arg(&self.folder);
        command
    }

    /// Runs statements in a schema and returns the rows of the last one, with `|` between columns.
    ///
    /// # Panics
    /// If one fails.
    pub fn run(&self, schema: &str, sql: &str) -> Vec<String> {
        self.try_run(schema, sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// As [`run`](Self::run), but returns the error of the server.
    pub fn try_run(&self, schema: &str, sql: &str) -> Result<Vec<String>, String> {
        let output = self.psql(schema).args(["--command", sql]).output();
        let output = output.expect("psql");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// Folder of the newest version's programs.
pub fn programs() -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .unwrap_or_else(|| panic!("no PostgreSQL in {VERSIONS}; tests/run installs it"));
    Path::new(VERSIONS).join(newest.to_string()).join("bin")
}

/// Ids of the user `postgres` and its group.
pub fn user_of_package() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let numbers = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    numbers.expect("the user that Debian's package makes")
}
