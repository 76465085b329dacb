//! A PostgreSQL server of the demo's own, in the demo's folder, on a Unix socket that only its user may open.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow, bail};
use url::form_urlencoded::byte_serialize;

/// Debian's packages have a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Shell script that starts the server, prints `ready`, and stops the server at the end of its input. The input
/// ends with the demo, however the demo ends.
const WATCH: &str = r#"
    set -eu
    trap '' PIPE
    folder=$1; programs=$2
    "$programs/initdb" --no-locale --encoding=UTF8 --auth=trust --username=vestibule \
        --pgdata="$folder/data" >"$folder/log" 2>&1
    cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$folder'
unix_socket_permissions = 0700
END
    trap '"$programs/pg_ctl" --pgdata="$folder/data" --mode=immediate --wait stop >/dev/null 2>&1 || :' EXIT
    "$programs/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --timeout=60 start >/dev/null
    "$programs/createdb" --host="$folder" --username=vestibule --encoding=UTF8 --template=template0 vestibule
    echo ready
    cat >/dev/null
"#;

/// A running server; dropping it stops it.
pub(super) struct DemoServer {
    folder: PathBuf,
    watch: Child,
}

impl DemoServer {
    /// Starts a server in a folder that does not exist yet. Blocks for some seconds.
    ///
    /// # Errors
    /// The server's programs are missing, or it does not start.
    pub fn start(folder: PathBuf) -> anyhow::Result<Self> {
        let programs = programs()?;
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCH, "watch"]).arg(&folder);
        command.arg(&programs);
        if rustix::process::geteuid().is_root() {
            // PostgreSQL refuses to run as root. Its package has a user.
            let (user, group) = user_of_package()?;
            if let Some(above) = folder.parent() {
                std::fs::set_permissions(above, Permissions::from_mode(0o711))?;
            }
            chown(&folder, Some(user), Some(group))?;
            command.uid(user).gid(group);
        }
        let mut watch = command
            .current_dir("/")
            // Ctrl-C is for the demo only, which then stops this process.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start /bin/sh")?;
        let output = watch.stdout.take();
        let server = Self { folder, watch };
        let mut said = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut said)?;
        }
        if said.trim() != "ready" {
            let log = std::fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            bail!("PostgreSQL did not start: {}", log.trim());
        }
        Ok(server)
    }

    /// URL of a store on this server, in the form of `[store] url`.
    pub fn url(&self) -> String {
        let folder = self.folder.display().to_string();
        let folder: String = byte_serialize(folder.as_bytes()).collect();
        format!("postgresql://vestibule@/vestibule?host={folder}")
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

/// The folder of the newest version's programs, or the one on the search path.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| folder_of(*version).join("initdb").exists())
        .max();
    if let Some(newest) = newest {
        return Ok(folder_of(newest));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |folder: &Path| {
        ["initdb", "pg_ctl", "createdb"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    std::env::split_paths(&path)
        .find(|folder| has(folder))
        .ok_or_else(|| {
            anyhow!(
                "the programs of a PostgreSQL server are not installed; on Debian: apt-get install postgresql"
            )
        })
}

fn folder_of(version: u32) -> PathBuf {
    Path::new(VERSIONS).join(version.to_string()).join("bin")
}

/// Ids of the user `postgres` and its group.
fn user_of_package() -> anyhow::Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let numbers = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    numbers.ok_or_else(|| {
        anyhow!("PostgreSQL does not run as root, and there is no user postgres; run the demo as another user")
    })
}
