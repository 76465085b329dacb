//! In: the answers. Out: the documented configuration with them.

use std::path::Path;

use url::Url;

use super::answers::{Answers, DestinationType, Others, dmarc_mode};
use crate::cli::toml_string::quote_as_toml;
use crate::config::is_private;
use crate::domain::join;

const DOCUMENTED: &str = include_str!("../../../config/vestibule.toml");

/// True for a file that nobody has changed since the package installed it.
pub(super) fn is_unchanged(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|text| text == DOCUMENTED.as_bytes())
}

/// The documented configuration, some lines of which are replaced. Each occurs exactly once.
struct Document(String);

impl Document {
    fn replace(&mut self, line: &str, by: &str) {
        debug_assert_eq!(self.0.matches(line).count(), 1, "{line}");
        self.0 = self.0.replacen(line, by, 1);
    }

    /// Replaces the value in a line, which may be commented out.
    fn set(&mut self, line: &str, value: &impl ToString) {
        self.set_value(line, &quote_as_toml(value));
    }

    fn set_list(&mut self, line: &str, values: &[impl ToString]) {
        self.set_value(
            line,
            &format!("[{}]", join(values.iter().map(quote_as_toml), ", ")),
        );
    }

    fn set_value(&mut self, line: &str, value: &str) {
        let key = line.split(" = ").next().unwrap_or_default();
        let key = key.trim_start_matches(['#', ' ']);
        self.replace(&format!("{line}\n"), &format!("{key} = {value}\n"));
    }
}

/// Renders the configuration.
pub(super) fn render(answers: &Answers) -> String {
    let mut text = Document(DOCUMENTED.to_owned());
    text.set("hostname = \"gate.corp.example\"", &answers.hostname);
    text.set("#data_dir = \"/var/lib/vestibule\"", &answers.data_dir);
    text.set("#   name = \"Corp Help\"", &answers.organisation());
    text.set("#   time_zone = \"Europe/Berlin\"", &answers.time_zone);
    text.set("#language = \"en\"", &answers.language);
    if let Some(contact) = &answers.contact {
        text.set("#   contact = \"+1 555 0100\"", contact);
    }
    text.set(
        "#public_url = \"http://127.0.0.1:8080\"",
        &answers.public_url,
    );
    text.replace(
        "\nname = \"it\"\n",
        &format!("\nname = {}\n", quote_as_toml(&answers.portal)),
    );
    text.set("title = \"IT Help\"", &answers.title);
    text.set_list(
        "addresses = [\"it-help@corp.example\"]",
        &[answers.address()],
    );
    set_destination(&mut text, answers);
    text.set(
        "\nfrom = \"IT Help <no-reply@corp.example>\"",
        &answers.author(),
    );
    text.replace(
        "type = \"smtp\"\nurl = \"smtp://127.0.0.1:25\"\n",
        &format!(
            "type = \"smtp\"\nurl = {}\n",
            quote_as_toml(&answers.outgoing)
        ),
    );
    if let Some(id) = &answers.authserv_id {
        text.set("#authserv_id = \"\"", id);
    }
    text.set("#mode = \"report\"", &dmarc_mode(answers.enforce));
    set_access(&mut text, answers);
    text.0
}

fn set_destination(text: &mut Document, answers: &Answers) {
    let place = answers.destination_place();
    if answers.destination == DestinationType::Smtp {
        text.set("url = \"smtp://127.0.0.1:2526\"", &place);
        if let Some(recipient) = &answers.recipient {
            text.set("#   recipient = \"queue@desk.internal\"", recipient);
        }
        return;
    }
    let key = match answers.destination {
        DestinationType::Smtp | DestinationType::Webhook => "url",
        DestinationType::Maildir => "path",
        DestinationType::Command => "program",
    };
    let kind = answers.destination.as_str();
    let mut keys = format!(
        "type = {}\n{key} = {}\n",
        quote_as_toml(&kind),
        quote_as_toml(&place)
    );
    // A webhook at a private address is refused unless this is set.
    if answers.destination == DestinationType::Webhook
        && Url::parse(&place).is_ok_and(|url| is_private(&url))
    {
        keys += "allow_private = true\n";
    }
    let (before, section) = text
        .0
        .split_once("[destination.helpdesk]\n")
        .unwrap_or((&text.0, ""));
    let (_, after) = section.split_once("# A Maildir;").unwrap_or(("", section));
    text.0 = format!("{before}[destination.helpdesk]\n{keys}\n# A Maildir;{after}");
}

fn set_access(text: &mut Document, answers: &Answers) {
    if !answers.approved.is_empty() {
        text.set_list("#internal.approved_domains = []", &answers.approved);
    }
    if answers.others != Others::Nobody {
        text.replace(
            "external.allow_portal_only_accounts = false\n",
            "external.allow_portal_only_accounts = true\n",
        );
    }
    match answers.others {
        Others::Listed => {
            text.replace(
                "#external.restrict_domains = false\n",
                "external.restrict_domains = true\n",
            );
            text.set_list("#external.allowed_domains = []", &answers.allowed);
        }
        Others::Verified => {
            text.replace("#external.verify = false\n", "external.verify = true\n");
        }
        Others::Nobody | Others::Everyone => {}
    }
}
