//! Languages that can be told apart.

/// A language: its code in ISO 639-1 and ISO 639-3, and its English name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// As written in a recipe (ISO 639-1).
    pub code: &'static str,
    /// ISO 639-3.
    pub long_code: &'static str,
    /// In English.
    pub name: &'static str,
}

macro_rules! languages {
    ($($code:literal $long:literal $name:literal;)*) => {
        /// Every language that can be told apart, by its code.
        pub static LANGUAGES: &[Language] = &[$(Language { code: $code, long_code: $long, name: $name }),*];
    };
}

languages! {
    "af" "afr" "Afrikaans"; "ak" "aka" "Akan"; "am" "amh" "Amharic"; "ar" "ara" "Arabic"; "az" "aze" "Azerbaijani";
    "be" "bel" "Belarusian"; "bg" "bul" "Bulgarian"; "bn" "ben" "Bengali"; "ca" "cat" "Catalan"; "cs" "ces" "Czech";
    "cy" "cym" "Welsh"; "da" "dan" "Danish"; "de" "deu" "German"; "el" "ell" "Greek"; "en" "eng" "English";
    "eo" "epo" "Esperanto"; "es" "spa" "Spanish"; "et" "est" "Estonian"; "fa" "pes" "Persian"; "fi" "fin" "Finnish";
    "fr" "fra" "French"; "gu" "guj" "Gujarati"; "he" "heb" "Hebrew"; "hi" "hin" "Hindi"; "hr" "hrv" "Croatian";
    "hu" "hun" "Hungarian"; "hy" "hye" "Armenian"; "id" "ind" "Indonesian"; "it" "ita" "Italian";
    "ja" "jpn" "Japanese"; "jv" "jav" "Javanese"; "ka" "kat" "Georgian"; "km" "khm" "Khmer"; "kn" "kan" "Kannada";
    "ko" "kor" "Korean"; "la" "lat" "Latin"; "lt" "lit" "Lithuanian"; "lv" "lav" "Latvian"; "mk" "mkd" "Macedonian";
    "ml" "mal" "Malayalam"; "mr" "mar" "Marathi"; "my" "mya" "Burmese"; "nb" "nob" "Norwegian Bokmål";
    "ne" "nep" "Nepali"; "nl" "nld" "Dutch"; "or" "ori" "Odia"; "pa" "pan" "Punjabi"; "pl" "pol" "Polish";
    "pt" "por" "Portuguese"; "ro" "ron" "Romanian"; "ru" "rus" "Russian"; "si" "sin" "Sinhala"; "sk" "slk" "Slovak";
    "sl" "slv" "Slovene"; "sn" "sna" "Shona"; "sr" "srp" "Serbian"; "sv" "swe" "Swedish"; "ta" "tam" "Tamil";
    "te" "tel" "Telugu"; "th" "tha" "Thai"; "tk" "tuk" "Turkmen"; "tl" "tgl" "Tagalog"; "tr" "tur" "Turkish";
    "uk" "ukr" "Ukrainian"; "ur" "urd" "Urdu"; "uz" "uzb" "Uzbek"; "vi" "vie" "Vietnamese"; "yi" "yid" "Yiddish";
    "zh" "cmn" "Mandarin Chinese"; "zu" "zul" "Zulu";
}
