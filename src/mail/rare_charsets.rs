//! Names of charsets that we or many other programs do not know.
//!
//! Takes the name in an encoded-word; tells what its octets may mean to a reader that knows it, or does not.

/// Beginnings of names whose numbers are not those of code pages in EBCDIC.
const NUMBERED: [&str; 8] = [
    "ansix3",
    "iso8859",
    "win125",
    "win2859",
    "win2860",
    "windows125",
    "windows2859",
    "windows2860",
];

/// Beginnings of the names of charsets that contain ASCII, and one octet for each other character, none of them an
/// `@`.
const SINGLE_OCTETS: [&str; 15] = [
    "armscii8",
    "iscii",
    "macarab",
    "macce",
    "maccroat",
    "macfarsi",
    "macgaelic",
    "macgreek",
    "machebrew",
    "maciceland",
    "maclatin2",
    "macroman",
    "macthai",
    "macturk",
    "macukrain",
];

/// Parts of the names of charsets that few programs know, though we do.
const RARE: [&str; 7] = [
    "1048",
    "10029",
    "154",
    "720",
    "cyrillicasian",
    "macce",
    "maclatin2",
];

/// True if many programs do not know the charset by this name: rare ones, names of PHP, of locales and of iconv, and
/// faulty ones.
pub(super) fn is_rarely_known(charset: &[u8]) -> bool {
    let name = charset.split(|&byte| byte == b'*').next();
    let name = name.unwrap_or_default();
    let bare = bare_name(name);
    name.iter().any(|octet| b"./=".contains(octet))
        || RARE.iter().any(|part| bare.contains(part))
        || bare.contains("cp5022")
        || matches!(bare.as_str(), "jis" | "csjis" | "xjis")
        // SJIS-win, but not x-sjis.
        || (bare.contains("sjis") && !bare.ends_with("sjis"))
}

/// Returns the test for octets that are not part of an `@` in any charset that a reader may know by a name that is
/// unknown to us.
pub(super) fn harmless_octets(charset: &[u8]) -> fn(u8) -> bool {
    let name = bare_name(charset);
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let begins_with = |families: &[&str]| {
        let name = name.strip_prefix('x').unwrap_or(&name);
        families.iter().any(|family| name.starts_with(family))
    };
    if name.contains("base64") {
        // PHP takes names of encodings for charsets.
        |_| false
    } else if name.contains("ebcdic")
        || name.contains("ibm")
        || (digits >= 3 && !begins_with(&NUMBERED))
    {
        // In EBCDIC, an `@` may be `D` (297), or an octet above ASCII (273).
        |octet| is_harmless_ascii(octet) && octet != b'D'
    } else if begins_with(&SINGLE_OCTETS) {
        // In UTF-16, to which a byte order mark may point, a fullwidth `@` has 0xFF.
        |octet| is_harmless_ascii(octet) || matches!(octet, 0x80..=0xfe)
    } else {
        |octet| is_harmless_ascii(octet) || is_harmless_octet(octet)
    }
}

/// The letters and digits of a name, in lower case.
fn bare_name(charset: &[u8]) -> String {
    let kept = charset.iter().filter(|octet| octet.is_ascii_alphanumeric());
    kept.map(|octet| char::from(octet.to_ascii_lowercase()))
        .collect()
}

/// True for letters, digits and a few other characters of ASCII, which are not part of an `@` in any charset but
/// EBCDIC.
fn is_harmless_ascii(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" .'-".contains(&octet)
}

/// True for letters of ISO 8859-1 above ASCII. A fullwidth `@` contains another octet in all East Asian charsets but
/// Johab, where it begins with 0xDA, and in UTF-8; in UTF-16 it has 0xFF.
fn is_harmless_octet(octet: u8) -> bool {
    matches!(octet, 0xc0..=0xfd) && octet != 0xda
}
