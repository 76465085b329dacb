//! Names of charsets.
//!
//! Takes a label; returns the charset. Labels are those of the WHATWG (as browsers know them), and other names that
//! IANA, `CPython` and mail programs have for the same charsets, for UTF-7 and UTF-32, for those of ISO 2022, and for
//! the code pages in [`codepages`]. Other charsets are unknown, such as EBCDIC, Johab and most of those of the
//! Macintosh.

use std::collections::HashMap;
use std::sync::LazyLock;

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, SHIFT_JIS, UTF_16BE};

use super::codepages;

/// A charset by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(pub(super) Charset);

/// A way to decode octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// US-ASCII, or a label without meaning.
    Ascii,
    Whatwg(&'static Encoding),
    /// ISO-2022-JP, -KR, -CN with their variants; with the 8-bit charsets of the same language.
    Iso2022(&'static [&'static Encoding]),
    /// HZ (RFC 1843).
    Hz,
    /// UTF-7 (RFC 2152).
    Utf7,
    Utf32 {
        is_little: bool,
    },
    /// The upper half of a code page.
    CodePage(&'static str),
}

/// A line for each label of `encoding_rs`: the label, and names that it does not know, without separators.
const LABELS: &str = "\
big5 big5eten cp950
euc-jp cp51932 eucjis2004 eucjisx0213 eucjp eucjpms eucjpwin ujis
euc-kr cp51949 cp949 uhc
gb18030 cp54936 gb180302000 gb180302022
gbk ansi936 cp51936 cp936 eucgb2312cn euccn gb231280
ibm866 cp866
iso-8859-15 latin9 latin0
iso-8859-16 latin10
koi8-r cp20866 koi8
koi8-u cp21866 koi8ru
macintosh cp10000 macroman
shift_jis cp932 cp943 cp943c mscp932 pck shiftjis2004 shiftjisx0213 sjis2004 sjiswin sjisx0213 windows31j
utf-16 unicode
utf-8 cesu8 cp65001 utf8mac utf8mb3 utf8mb4 utf8n utf8sig
windows-1251 ansi1251
windows-1252 ansi isolatin1
windows-874 cp874
x-mac-cyrillic cp10007 maccyrillic macukrainian";

/// Labels of `encoding_rs` by the other names in [`LABELS`].
static ALIASES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let lines = LABELS.lines().filter_map(|line| line.split_once(' '));
    let aliases = lines.flat_map(|(label, names)| names.split(' ').map(move |name| (name, label)));
    aliases.collect()
});

/// Names of ASCII, names for an unknown charset (RFC 1428 3), and what broken programs write (`{charset}`, `%s`),
/// without separators.
const ASCII: [&str; 28] = [
    "646",
    "7bit",
    "8bit",
    "ansix341968",
    "ansix341986",
    "ansix34",
    "ascii",
    "auto",
    "binary",
    "charset",
    "cp20127",
    "cp367",
    "csascii",
    "default",
    "defaultcharset",
    "ibm367",
    "iso646irv1991",
    "iso646us",
    "isoir6",
    "none",
    "null",
    "s",
    "undefined",
    "unknown",
    "unknown8bit",
    "us",
    "usascii",
    "xuserdefined",
];

impl Label {
    /// Returns None for an unknown name.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let name = name.trim_ascii();
        // RFC 2231 5: a language may follow in an encoded-word.
        let name = name.split(|&byte| byte == b'*').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        // iconv knows suffixes: UTF-8//TRANSLIT.
        let name = trim(name.split("//").next().unwrap_or_default());
        let name = name.strip_prefix("charset=").map_or(name, trim);
        let charset = find(name)
            .or_else(|| find(name.strip_prefix("x-")?))
            .or_else(|| find(name.strip_prefix("cs")?))
            .or_else(|| find(charset_of_locale(name)?));
        charset.map(Self)
    }

    /// True for ASCII, which says nothing about octets above it, and for a label without meaning.
    pub(super) fn is_ascii(&self) -> bool {
        self.0 == Charset::Ascii
    }
}

fn trim(name: &str) -> &str {
    name.trim_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// The charset in the name of a locale, such as `de_de.utf-8`.
fn charset_of_locale(name: &str) -> Option<&str> {
    let (locale, charset) = name.split_once('.')?;
    let is_code = |code: &str| {
        matches!(code.len(), 2 | 3) && code.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let is_pair = |(language, territory)| is_code(language) && is_code(territory);
    let is_locale = locale == "c" || locale.split_once('_').is_some_and(is_pair);
    is_locale.then_some(charset)
}

/// The 8-bit charsets of a language, by the part of the label after `iso2022`.
fn eight_bit(language: &str) -> &'static [&'static Encoding] {
    const JAPANESE: [&Encoding; 2] = [EUC_JP, SHIFT_JIS];
    const KOREAN: [&Encoding; 1] = [EUC_KR];
    const CHINESE: [&Encoding; 1] = [GBK];
    match language.get(..2) {
        Some("jp") => &JAPANESE,
        Some("kr") => &KOREAN,
        Some("cn") => &CHINESE,
        _ => &[],
    }
}

fn find(name: &str) -> Option<Charset> {
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if ASCII.contains(&bare.as_str()) {
        return Some(Charset::Ascii);
    }
    let charset = match bare.as_str() {
        "hz" | "hzgb" | "hzgb2312" => Charset::Hz,
        "utf7" | "unicode11utf7" | "cp65000" => Charset::Utf7,
        "utf32" | "utf32be" | "ucs4" => Charset::Utf32 { is_little: false },
        "utf32le" => Charset::Utf32 { is_little: true },
        "utf16be" | "ucs2be" | "ucs2" | "iso10646ucs2" => Charset::Whatwg(UTF_16BE),
        "cp50220" | "cp50221" | "cp50222" | "jis" => Charset::Iso2022(eight_bit("jp")),
        _ if bare.starts_with("iso2022") => Charset::Iso2022(eight_bit(&bare[7..])),
        _ => return whatwg(name, &bare),
    };
    Some(charset)
}

fn whatwg(name: &str, bare: &str) -> Option<Charset> {
    let number = ["cp", "ibm", "dos", "windows", "win", "ms", ""]
        .iter()
        .find_map(|prefix| bare.strip_prefix(prefix))
        .filter(|number| number.len() >= 3 && number.bytes().all(|b| b.is_ascii_digit()));
    let page = match bare {
        "kz1048" | "rk1048" | "strk10482002" => Some("kz1048"),
        "cp10029" | "macce" | "maccenteuro" | "maccentraleurope" | "maccentraleurroman"
        | "maclatin2" => Some("macce"),
        "cp154" | "cyrillicasian" | "pt154" | "ptcp154" => Some("ptcp154"),
        _ => number,
    };
    if let Some(page) = page.and_then(codepages::find) {
        return Some(Charset::CodePage(page));
    }
    let numbered = number.map(|number| format!("cp{number}"));
    let known = ALIASES
        .get(bare)
        .or_else(|| ALIASES.get(numbered.as_deref()?));
    // With other separators: iso8859_1, iso_8859-15:1998, windows1252, latin-1.
    let hyphens = name.replace(['_', ' '], "-");
    let part = || {
        let rest = bare
            .strip_prefix("iso")
            .unwrap_or(bare)
            .strip_prefix("8859")?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        // The year of the standard may follow: iso_8859-1:1987.
        let digits = if digits > 4 {
            digits - 4
        } else {
            digits.min(2)
        };
        Some(format!(
            "iso-8859-{}{}",
            &rest[..digits],
            if rest.ends_with('i') { "-i" } else { "" }
        ))
    };
    let windows = || Some(format!("windows-{}", number?));
    let encoding = match known {
        Some(label) => Encoding::for_label(label.as_bytes()),
        None => Encoding::for_label(name.as_bytes())
            .or_else(|| Encoding::for_label(hyphens.as_bytes()))
            .or_else(|| Encoding::for_label(bare.as_bytes()))
            .or_else(|| Encoding::for_label(part()?.as_bytes()))
            .or_else(|| Encoding::for_label(windows()?.as_bytes())),
    }?;
    // The WHATWG decodes these to one replacement character; nobody can read such text.
    (encoding != encoding_rs::REPLACEMENT).then_some(Charset::Whatwg(encoding))
}

#[cfg(test)]
mod tests {
    use super::super::charset::decode;
    use super::*;

    fn text(name: &str, octets: &[u8]) -> String {
        decode(octets, Label::parse(name.as_bytes()).as_ref())
    }

    #[test]
    fn charsets_are_known_by_many_names() {
        let mut wrong = Vec::new();
        for (names, octets, expected) in [
            (
                "utf-8 UTF8 utf_8 \"utf-8\" unicode-1-1-utf-8 cesu8 cp65001 utf8mb4 utf8mb3 UTF-8-MAC utf-8n",
                &b"\xc3\xbc"[..],
                "ü",
            ),
            (
                "us-ascii ascii ANSI_X3.4-1968 ansi_x3.4 646 us unknown-8bit x-unknown undefined x-user-defined null default_charset {charset} charset= %s",
                b"\xc3\xbc",
                "ü",
            ),
            (
                "iso-8859-1 latin1 iso8859-1 iso_8859-1 ISO_8859-1:1987 cp1252 windows-1252 l1 cp819 8859-1 iso88591 latin-1 windows1252 x-cp1252 ibm819 de_DE.ISO-8859-1",
                b"\xfc",
                "ü",
            ),
            (
                "iso-8859-15 latin-9 iso8859_15 ISO-8859-15 latin9 de_DE.ISO-8859-15@euro",
                b"\xa4",
                "€",
            ),
            ("iso-8859-2 latin2 iso_8859-2:1987", b"\xb1", "ą"),
            ("windows-1250 cp1250 win-1250 x-cp1250", b"\x9a", "š"),
            ("windows-1251 cp1251", b"\xcf", "П"),
            ("koi8-r koi8_r cskoi8r koi8", b"\xf0", "П"),
            ("koi8-u koi8-ru", b"\xa4", "є"),
            (
                "iso-8859-8-i iso-8859-8 csiso88598i hebrew iso8859-8-i",
                b"\xe0",
                "א",
            ),
            ("iso-8859-7 greek", b"\xe1", "α"),
            (
                "cp932 shift_jis x-sjis sjis ms932 windows-31j cswindows31j shift-jis Shift_JISX0213 ms_kanji mscp932 SJIS-win sjis_2004 ja_JP.SJIS",
                b"\x82\xa0",
                "あ",
            ),
            ("euc-jp x-euc-jp eucjp ujis eucJP-win", b"\xa4\xa2", "あ"),
            (
                "iso-2022-jp csiso2022jp iso-2022-jp-ms iso2022jp iso-2022-jp-2 CP50220 cp50221 cp50222 JIS",
                b"\x1b$B$\"\x1b(B",
                "あ",
            ),
            (
                "gb2312 gbk gb_2312-80 x-gbk cp936 euc-cn gb18030 GB18030-2022 csgb2312 chinese zh_CN.GBK",
                b"\xc4\xe3",
                "你",
            ),
            ("hz-gb-2312 hz", b"~{Dc~}~~", "你~"),
            ("big5 big5-hkscs cp950 cn-big5 x-x-big5", b"\xa7\x41", "你"),
            (
                "ks_c_5601-1987 euc-kr cp949 korean uhc ks_c_5601 ksc5601 windows-949",
                b"\xb0\xa1",
                "가",
            ),
            ("iso-2022-kr", b"\x1b$)C\x0e0!\x0f", "가"),
            (
                "utf-7 unicode-1-1-utf-7 x-unicode-1-1-utf-7",
                b"D+APw-ben+-",
                "Düben+",
            ),
            ("utf-16le", b"\xfc\0", "ü"),
            ("utf-16be utf16be", b"\0\xfc", "ü"),
            ("utf-16 unicode", b"\xfe\xff\0\xfc", "ü"),
            ("utf-32", b"\0\0\0\xfc", "ü"),
            ("cp850 ibm850 850 dos-850", b"\x81", "ü"),
            ("cp437 ibm437 437", b"\x81", "ü"),
            ("ibm866 cp866", b"\x8f", "П"),
            ("macintosh x-mac-roman mac macroman", b"\x9f", "ü"),
            ("x-mac-cyrillic mac-cyrillic x-mac-ukrainian", b"\x8f", "П"),
            ("tis-620 windows-874 iso-8859-11", b"\xa1", "ก"),
            ("cp720 ibm720 dos-720", b"\x9f", "\u{627}"),
            ("kz-1048 csKZ1048 rk1048 STRK1048-2002", b"\xaa", "Ғ"),
            ("x-mac-ce mac-ce x-mac-latin2 cp10029", b"\x8b", "č"),
            ("x-mac-centraleurroman mac-centraleurope", b"\x8b", "č"),
            ("ptcp154 csPTCP154 PT154 cp154 Cyrillic-Asian", b"\x80", "Җ"),
        ] {
            for name in names.split(' ') {
                if Label::parse(name.as_bytes()).is_none() {
                    wrong.push(format!("{name} is not known"));
                } else if text(name, octets) != expected {
                    wrong.push(format!("{name}: {} for {expected}", text(name, octets)));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        for name in [
            "",
            "x",
            "nonsense",
            "iso-8859-99",
            "cp1",
            "johab",
            "cp1361",
            "//utf-8",
            "utf-7.utf-8",
            "hz.utf-8",
        ] {
            assert_eq!(Label::parse(name.as_bytes()), None, "{name}");
        }
    }
}
