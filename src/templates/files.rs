//! The list of the built-in templates and assets.

/// A list of files: for each, the name of the file in an operator's folder that replaces it, and its text. A row
/// has the folder, the prefix of the names and the files.
macro_rules! files {
    ($($folder:literal $prefix:literal: $($file:literal)+;)+) => {
        &[$($((concat!($prefix, $file), include_str!(concat!($folder, $file)))),+),+]
    };
}

/// The built-in templates, by the name of the file that replaces each.
///
/// Operators' own files have these names and use the values that are passed to them, so neither is renamed: `letter` is
/// the verification mail, `proved` says that an address is verified, `lead_on` has the button that leads to the
/// provider's sign-in or to the next page, `what_if` shows the effects of settings before they are saved.
pub(super) const TEMPLATES: &[(&str, &str)] = files! {
    "../verification/templates/" "":
        "letter.txt" "digest.txt" "letter.html";
    "../web/templates/" "":
        "layout.html" "home.html" "signup.html" "verify.html" "not_me.html" "proved.html"
        "refused.html" "expired.html" "lead_on.html" "resend.html" "message.html";
    "../web/operators/templates/" "operators/":
        "layout.html" "macros.html" "login.html" "lead_on.html" "login_code.html"
        "not_signed_in.html" "refused.html" "overview.html" "plot.html" "access.html"
        "what_if.html" "access_preview.html" "allow.html" "customers.html" "customer.html"
        "requests.html" "requests_confirm.html" "requests_outcome.html" "messages.html"
        "message.html" "dropped.html" "recovered.html" "find.html" "deliveries.html"
        "operators.html" "account.html" "import.html" "try_address.html" "mail.html" "nodes.html"
        "hook.html" "forgotten.html" "api_reference.html" "audit.html";
};

/// Files that pages refer to, replaceable in the same way.
pub(super) const ASSETS: &[(&str, &str)] = files! {
    "../web/templates/" "": "vestibule.css";
    "../web/operators/templates/" "": "operators.css";
    "../web/templates/" "": "icon.svg";
};
