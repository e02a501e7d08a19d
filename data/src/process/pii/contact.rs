//! E-mail and internet addresses.

use std::net::Ipv6Addr;
use std::ops::Range;

/// Ends of file names that look like a domain after an `@`: `icon@2x.png`.
const FILE_ENDS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "html"];

/// Addresses `local@domain.tld` (RFC 5321 without quoted names and literal addresses). Letters beyond ASCII count in the
/// local part.
pub fn emails(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let floor = found.last().map_or(0, |last| last.end);
        let local = |each: char| each.is_alphanumeric() || "._%+-'!#$&*/=?^`{|}~".contains(each);
        let before = &text[floor..at];
        let start = before.char_indices().rev().take(64).take_while(|(_, each)| local(*each)).last();
        let Some((start, _)) = start else {
            continue;
        };
        // Quotes, brackets and slashes around an address are not part of it.
        let start = floor + start;
        let lead = text[start..at].trim_start_matches(|each: char| !each.is_alphanumeric() && each != '_');
        let cut = lead.rfind(['\'', '/', '=', '`', '{', '|', '}', '?', '&', '*', '#', '$', '!', '^', '~']);
        let lead = cut.map_or(lead, |cut| &lead[cut + 1..]);
        if lead.is_empty() || lead.ends_with('.') || lead.contains("..") {
            continue;
        }
        if let Some(length) = domain(&text[at + 1..]) {
            found.push(at - lead.len()..at + 1 + length);
        }
    }
    found
}

/// Bytes of the domain name with which `text` begins: two labels or more, the last of two or more letters.
fn domain(text: &str) -> Option<usize> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let run = text.bytes().take(253).take_while(|&byte| allowed(byte)).count();
    let name = text[..run].trim_end_matches(['.', '-']);
    let mut labels: Vec<&str> = name.split('.').collect();
    // `jane@site.org.Then` with a missing space is still an address: labels that cannot end a name are given up.
    while labels.last().is_some_and(|last| last.len() < 2 || !last.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        labels.pop();
    }
    let sound =
        |label: &&str| !label.is_empty() && label.len() < 64 && !label.starts_with('-') && !label.ends_with('-');
    let last = labels.last()?.to_ascii_lowercase();
    let whole = labels.len() >= 2 && labels.iter().all(sound) && !FILE_ENDS.contains(&last.as_str());
    whole.then(|| labels.iter().map(|label| label.len() + 1).sum::<usize>() - 1)
}

/// IPv4 and IPv6 addresses that are neither loopback nor unspecified nor the broadcast address.
pub fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = v4_addresses(text);
    found.extend(v6_addresses(text));
    found
}

fn v4_addresses(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let run = text[at..end].trim_end_matches('.');
        let alone = !text[..at].ends_with(|each: char| each.is_alphanumeric() || each == '.' || each == '_')
            && !text[end..].starts_with(|each: char| each.is_alphanumeric() || each == '_');
        if alone && is_v4(run) && !super::cue_before(text, at, 12, &["version", "ver", "v", "section", "release"]) {
            found.push(at..at + run.len());
        }
        at = end;
    }
    found
}

fn is_v4(run: &str) -> bool {
    if run.len() < 7 || run.len() > 15 {
        return false;
    }
    // The standard parser refuses leading zeros and numbers above 255.
    let address: Option<std::net::Ipv4Addr> = run.parse().ok();
    address.is_some_and(|address| !address.is_loopback() && !address.is_unspecified() && !address.is_broadcast())
}

fn v6_addresses(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (colon, _) in text.match_indices(':') {
        if found.last().is_some_and(|last| colon < last.end) {
            continue;
        }
        let part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
        let bytes = text.as_bytes();
        let start = colon - bytes[..colon].iter().rev().take(40).take_while(|byte| part(**byte)).count();
        if start + 40 <= colon {
            continue;
        }
        let end = colon + bytes[colon..].iter().take(40).take_while(|byte| part(**byte)).count();
        let trimmed = &text[start..end];
        let trimmed = if trimmed.ends_with("::") { trimmed } else { trimmed.trim_end_matches(':') };
        let end = start + trimmed.len();
        let joined = |each: char| each.is_alphanumeric() || each == '_' || each == ':';
        let alone = !text[..start].ends_with(joined) && !text[end..].starts_with(|each| joined(each) && each != ':');
        if alone && is_v6(trimmed) {
            found.push(start..end);
        }
    }
    found
}

/// Whether this is an address and not a path of a programming language (`f32::consts`) or a time.
fn is_v6(run: &str) -> bool {
    let Ok(address) = run.parse::<Ipv6Addr>() else {
        return false;
    };
    let groups = run.split(':').filter(|group| !group.is_empty()).count();
    // Unicast, unique local and link-local addresses begin with 2, 3, fc, fd and fe8 to feb.
    let first = address.segments()[0];
    let assigned = first >> 13 == 1 || first >> 9 == 0x7e || first >> 6 == 0x3fa;
    groups >= 8 || (assigned && run.split(':').next().is_some_and(|group| group.len() == 4))
}
