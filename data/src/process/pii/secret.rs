//! Keys, tokens and passwords.

use std::ops::Range;

/// Blocks from a line `-----BEGIN ... PRIVATE KEY-----` (RFC 7468, OpenSSH, PGP) to the line that ends them, or to the
/// end of the text.
pub fn private_keys(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = text[at..].find("-----BEGIN ") {
        let start = at + begin;
        at = start + 11;
        // `RSA PRIVATE KEY-----`, `PGP PRIVATE KEY BLOCK-----`.
        let Some((label, _)) = text[at..].split_once("-----") else {
            break;
        };
        let mark = match label {
            _ if label.len() > 40 || label.contains('\n') => continue,
            _ if label.ends_with("PRIVATE KEY") => "PRIVATE KEY-----",
            _ if label.ends_with("PRIVATE KEY BLOCK") => "PRIVATE KEY BLOCK-----",
            _ => continue,
        };
        let after = at + label.len() + 5;
        let end = match text[after..].find("-----END ") {
            Some(end) => {
                let end = after + end;
                text[end..].find(mark).map_or(text.len(), |length| end + length + mark.len())
            }
            None => text.len(),
        };
        // A mere mention of the first line holds no key.
        if end - after > 40 {
            found.push(start..end);
        }
        at = end;
    }
    found
}

/// A service's token: what it begins with, and how many characters follow, of which alphabet.
struct Form {
    prefix: &'static str,
    least: usize,
    most: usize,
    alphabet: fn(u8) -> bool,
}

const fn form(prefix: &'static str, least: usize, most: usize, alphabet: fn(u8) -> bool) -> Form {
    Form { prefix, least, most, alphabet }
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn dotted(byte: u8) -> bool {
    url_safe(byte) || byte == b'.'
}

/// As the services document them: AWS, GitHub, GitLab, OpenAI and Anthropic, Stripe, Slack, Google, Hugging Face, npm,
/// PyPI, SendGrid, DigitalOcean, Shopify, Twilio, and JSON web tokens (RFC 7519).
const FORMS: &[Form] = &[
    form("AKIA", 16, 16, upper),
    form("ASIA", 16, 16, upper),
    form("ghp_", 36, 36, alphanumeric),
    form("gho_", 36, 36, alphanumeric),
    form("ghu_", 36, 36, alphanumeric),
    form("ghs_", 36, 36, alphanumeric),
    form("ghr_", 36, 76, alphanumeric),
    form("github_pat_", 60, 100, url_safe),
    form("glpat-", 20, 64, url_safe),
    form("sk_live_", 20, 120, alphanumeric),
    form("rk_live_", 20, 120, alphanumeric),
    form("sk-", 32, 220, url_safe),
    form("xoxb-", 20, 120, url_safe),
    form("xoxp-", 20, 120, url_safe),
    form("xoxa-", 20, 120, url_safe),
    form("xoxr-", 20, 120, url_safe),
    form("xoxs-", 20, 120, url_safe),
    form("AIza", 35, 35, url_safe),
    form("hf_", 34, 40, alphanumeric),
    form("npm_", 36, 36, alphanumeric),
    form("pypi-", 60, 300, url_safe),
    form("SG.", 60, 80, dotted),
    form("dop_v1_", 64, 64, alphanumeric),
    form("shpat_", 32, 32, alphanumeric),
    form("SK", 32, 32, |byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
    form("eyJ", 60, 4000, dotted),
];

/// Access tokens.
pub fn api_keys(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = match token_at(bytes, at) {
            // Random characters hold digits; names of things mostly do not. Web tokens have three parts.
            Some(length) if is_random(&bytes[at..at + length]) => {
                found.push(at..at + length);
                length
            }
            _ => bytes[at..].iter().take_while(|byte| url_safe(**byte)).count(),
        };
        at += length.max(1);
    }
    found
}

/// Bytes of the token that begins here.
fn token_at(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if !matches!(rest[0], b'A' | b'g' | b's' | b'r' | b'x' | b'h' | b'n' | b'p' | b'S' | b'd' | b'e') {
        return None;
    }
    let form = FORMS.iter().find(|form| rest.starts_with(form.prefix.as_bytes()))?;
    let after = rest[form.prefix.len()..].iter().take_while(|byte| (form.alphabet)(**byte)).count();
    (form.least..=form.most).contains(&after).then_some(form.prefix.len() + after)
}

fn is_random(token: &[u8]) -> bool {
    let parts = token.split(|byte| *byte == b'.').count();
    let web = !token.starts_with(b"eyJ") || parts == 3;
    web && token.iter().filter(|byte| byte.is_ascii_digit()).count() >= 1
}

/// `user:password` of `scheme://user:password@host`.
pub fn credentials(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (mark, _) in text.match_indices("://") {
        if !text[..mark].ends_with(|each: char| each.is_ascii_alphanumeric()) {
            continue;
        }
        let start = mark + 3;
        let ends = |each: char| each.is_whitespace() || matches!(each, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`');
        let authority = text[start..].split(ends).next().unwrap_or("");
        let Some(at) = authority.rfind('@') else {
            continue;
        };
        let user = &authority[..at];
        let host = authority[at + 1..].starts_with(|each: char| each.is_alphanumeric() || each == '[');
        let sound = user.split_once(':').is_some_and(|(_, password)| !password.is_empty());
        // `{user}:{password}` and `$USER:$PASSWORD` stand for something else.
        if sound && host && !user.contains(['{', '}', '$', '<']) {
            found.push(start..start + at);
        }
    }
    found
}
