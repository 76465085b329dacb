//! `docs/recipes/django-helpdesk.md`: django-helpdesk fetches requests from the `new` of a Maildir.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{ask, config_with_desk, delivered, installed, output};
use crate::support::harness::Harness;

/// A command of Django for the project in `tests/system/recipes/django_helpdesk`, with its data in `home`.
fn django(home: &Path) -> Command {
    let project =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/recipes/django_helpdesk");
    let mut command = Command::new(installed("django-admin"));
    command
        .env("DJANGO_SETTINGS_MODULE", "settings")
        .env("PYTHONPATH", project)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(home);
    command
}

fn python(home: &Path, script: &str) -> String {
    fs::write(home.join("script.py"), script).expect("a script");
    let script = fs::File::open(home.join("script.py")).expect("a script");
    output(django(home).arg("shell").stdin(Stdio::from(script)))
}

#[test]
fn an_employee_has_a_ticket_in_django_helpdesk() {
    let harness = Harness::start(&config_with_desk("type = \"maildir\"\npath = \"Maildir\""));
    let home = harness.folder.path();
    output(django(home).args(["migrate", "--verbosity", "0"]));
    python(
        home,
        "from helpdesk.models import Queue\n\
         Queue.objects.create(title='IT', slug='it', email_address='it-help@corp.example',\n    \
         email_box_type='local', email_box_local_dir='Maildir/new', allow_email_submission=True)\n",
    );
    let request = ask(&harness, "Ann Example <ann@corp.example>", "printer");
    delivered(&harness, &request);

    output(django(home).arg("get_email"));
    let tickets = python(
        home,
        "from helpdesk.models import Ticket\n\
         for t in Ticket.objects.all(): print('|'.join(['ticket', t.title, t.submitter_email, t.description]))\n",
    );
    assert!(
        tickets.contains("ticket|About printer|ann@corp.example|The body of printer."),
        "{tickets}"
    );
    assert!(
        harness.files("Maildir/new").is_empty(),
        "it accepted the message"
    );
}
