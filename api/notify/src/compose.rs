//! What a mail says: one for each record that has something to say to its customer. Texts in, texts out.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::Deserialize;

use crate::money::{money, number};

/// The events that mail is about.
pub(crate) const TOPICS: &str = "purchase.accepted,tier.changed,reward.granted";

/// The language of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Bahasa Indonesia.
    Indonesian,
    /// English.
    English,
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Language, String> {
        match text {
            "id" => Ok(Language::Indonesian),
            "en" => Ok(Language::English),
            _ => Err("must be id or en".to_owned()),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Language::Indonesian => "id",
            Language::English => "en",
        })
    }
}

/// An event, as the stream has it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum Told {
    #[serde(rename = "purchase.accepted")]
    Purchase { partner: String, origin_id: String, point_total: i64 },
    #[serde(rename = "tier.changed")]
    Tier { program: String, before: Option<Standing>, after: Option<Standing> },
    #[serde(rename = "reward.granted")]
    Reward { campaign: String, reward: String, points: Option<i64>, wallet_credit: Option<i64> },
}

/// Where a customer stands in a programme.
#[derive(Debug, Deserialize)]
pub(crate) struct Standing {
    level: String,
}

/// A mail without its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// Whose customer it is.
pub(crate) struct Shop<'a> {
    /// Its name for people.
    pub(crate) name: &'a str,
    /// The code of its currency, and how many decimals that has.
    pub(crate) currency: (&'a str, u8),
    /// The names of its partners for people, behind their slugs.
    pub(crate) partners: Vec<(&'a str, &'a str)>,
}

/// Writes what the events of a record say to their customer; `None` where that is nothing.
pub(crate) fn compose(told: &[Told], shop: &Shop<'_>, language: Language, each_purchase: bool) -> Option<Content> {
    let currency = shop.currency;
    let id = language == Language::Indonesian;
    let mut parts: Vec<Part> = Vec::new();
    let purchase = told.iter().find_map(|own| match own {
        Told::Purchase { partner, origin_id, point_total } => Some((partner, origin_id, *point_total)),
        _ => None,
    });
    // What promos and milestones paid; rewards are told below.
    if let Some((partner, origin_id, total)) = purchase
        && (0 < total || each_purchase)
    {
        let named = shop.partners.iter().find(|(slug, _)| slug == partner);
        let partner = named.map_or(partner.as_str(), |(_, name)| name);
        let total = money(total, currency, language);
        let number = if is_number(origin_id) { format!(" {origin_id}") } else { String::new() };
        parts.push(Part {
            heading: if id { format!("Cashback {total}") } else { format!("{total} cashback") },
            body: if id {
                format!("Pembelian{number} Anda di {partner} menghasilkan cashback {total} di dompet Anda.")
            } else {
                format!("Your purchase{number} at {partner} put {total} of cashback into your wallet.")
            },
        });
    }
    parts.extend(tiers(told, id));
    for own in told {
        let Told::Reward { campaign, reward, points, wallet_credit } = own else { continue };
        let worth = match (points, wallet_credit) {
            (Some(points), _) => {
                let points = number(*points, 0, language);
                if id { format!("{points} poin") } else { format!("{points} points") }
            }
            (None, Some(credit)) => money(*credit, currency, language),
            (None, None) => continue,
        };
        parts.push(Part {
            heading: if id { format!("Hadiah: {reward}") } else { format!("Reward: {reward}") },
            body: if id {
                format!("Anda menyelesaikan {campaign} dan menerima {worth}.")
            } else {
                format!("You completed {campaign} and received {worth}.")
            },
        });
    }
    (!parts.is_empty()).then(|| written(&parts, shop.name, language))
}

/// True of what looks like the number of a purchase. Partners choose it, and must not put words into the shop's mouth.
fn is_number(origin_id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    origin_id.len() <= 40 && origin_id.bytes().any(|byte| byte.is_ascii_digit()) && origin_id.bytes().all(fits)
}

/// A matter of a mail.
struct Part {
    heading: String,
    body: String,
}

/// Says where the customer stands now, of each programme where that is another level. Who stands somewhere for the first time is not
/// told.
fn tiers(told: &[Told], id: bool) -> Vec<Part> {
    let mut moved: Vec<(&str, Option<&str>, Option<&str>)> = Vec::new();
    for own in told {
        let Told::Tier { program, before, after } = own else { continue };
        let after = after.as_ref().map(|own| own.level.as_str());
        match moved.iter_mut().find(|(known, ..)| known == program) {
            Some(known) => known.2 = after,
            None => moved.push((program, before.as_ref().map(|own| own.level.as_str()), after)),
        }
    }
    let part = |(program, before, after): (&str, Option<&str>, Option<&str>)| {
        let (before, after) = before.zip(after).filter(|(before, after)| before != after)?;
        Some(Part {
            heading: if id { format!("Level {after}") } else { format!("{after} level") },
            body: if id {
                format!("Level Anda di {program} berubah dari {before} menjadi {after}.")
            } else {
                format!("In {program} you moved from {before} to {after}.")
            },
        })
    };
    moved.into_iter().filter_map(part).collect()
}

fn written(parts: &[Part], tenant: &str, language: Language) -> Content {
    let headings: Vec<&str> = parts.iter().map(|part| part.heading.as_str()).collect();
    let tenant = line(tenant);
    let subject = line(&format!("{tenant}: {}", headings.join(", ")));
    let (greeting, thanks, code) = match language {
        Language::Indonesian => ("Halo,", "Terima kasih,", "id"),
        Language::English => ("Hello,", "Thank you,", "en"),
    };
    let mut text = format!("{greeting}\n\n");
    let mut inner = String::new();
    for Part { heading, body } in parts {
        let (heading, body) = (line(heading), line(body));
        // Writing to text does not fail.
        let _ = write!(text, "{heading}\n{body}\n\n");
        let _ = write!(
            inner,
            "<h2 style=\"font-size:22px;margin:24px 0 8px\">{}</h2><p style=\"margin:0\">{}</p>",
            escaped(&heading),
            escaped(&body)
        );
    }
    let _ = writeln!(text, "{thanks}\n{tenant}");
    let farewell = format!("{thanks}<br>{}", escaped(&tenant));
    let html = format!(
        "<!doctype html><html lang=\"{code}\"><head><meta charset=\"utf-8\"><title>{}</title></head>\
         <body style=\"font-family:sans-serif;line-height:1.5;max-width:36em;margin:0 auto;padding:16px\">\
         <p>{greeting}</p>{inner}<p style=\"margin-top:24px\">{farewell}</p></body></html>",
        escaped(&subject)
    );
    Content { subject, text, html }
}

/// Makes one line of a text that somebody else wrote, whatever is in it: names must not become headers.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mail(events: &Value, language: Language, each_purchase: bool) -> Option<Content> {
        let told: Vec<Told> = serde_json::from_value(events.clone()).expect("events");
        let partners = vec![("grocer", "Toko <Kopi> & \"Teh\"\r\nBcc: eve@evil.example")];
        let shop = Shop { name: "Kembali\r\nBcc: eve@evil.example", currency: ("IDR", 0), partners };
        compose(&told, &shop, language, each_purchase)
    }

    fn purchase(point_total: i64) -> Value {
        let data = json!({ "partner": "grocer", "origin_id": "A-1", "point_total": point_total, "amount": 1_200_000 });
        json!([{ "type": "purchase.accepted", "data": data }])
    }

    fn tier(before: Option<&str>, after: &str) -> Value {
        let before = before.map(|level| json!({ "level": level, "count": 7 }));
        json!({ "type": "tier.changed", "data": { "program": "Journey", "before": before, "after": { "level": after } } })
    }

    #[test]
    fn what_was_earned_is_said_and_what_was_not_is_not() {
        let earned = mail(&purchase(48_000), Language::Indonesian, false).expect("a mail");
        assert!(earned.subject.ends_with(": Cashback Rp\u{a0}48.000"), "{}", earned.subject);
        assert!(
            earned.text.contains("Pembelian A-1 Anda di Toko")
                && earned.text.contains("cashback Rp\u{a0}48.000 di dompet Anda")
        );
        let english = mail(&purchase(48_000), Language::English, false).expect("a mail");
        assert!(
            english.text.contains("Your purchase A-1 at Toko")
                && english.text.contains("put Rp\u{a0}48.000 of cashback")
        );
        assert!(english.html.contains("lang=\"en\"") && earned.html.contains("lang=\"id\""));
        assert_eq!(mail(&purchase(0), Language::Indonesian, false), None);
        let nothing = mail(&purchase(0), Language::Indonesian, true).expect("a mail");
        assert!(nothing.text.contains("cashback Rp\u{a0}0"), "{}", nothing.text);
        // A number is shown that looks like one, and no words of a partner's.
        for (origin_id, is_shown) in [
            ("2017-03-INV_7", true),
            ("Claim your prize at http://evil.example/1", false),
            ("evil.test1", false),
            ("prize", false),
        ] {
            let mut events = purchase(1);
            events[0]["data"]["origin_id"] = json!(origin_id);
            let mail = mail(&events, Language::English, false).expect("a mail");
            assert_eq!(mail.text.contains(origin_id), is_shown, "{}", mail.text);
        }
    }

    #[test]
    fn another_level_and_a_reward_are_said_in_the_same_mail() {
        let mut events = purchase(100);
        let more = events.as_array_mut().expect("a list");
        more.extend([tier(Some("BRONZE"), "SILVER"), tier(Some("SILVER"), "GOLD")]);
        let reward = |worth: &str, units: i64| json!({ "type": "reward.granted", "data": { "campaign": "Movie night", "reward": "A film", worth: units } });
        more.extend([reward("points", 1_500), reward("wallet_credit", 5_000)]);
        let mail_of = |language| mail(&events, language, false).expect("a mail").text;
        let (id, en) = (mail_of(Language::Indonesian), mail_of(Language::English));
        assert!(id.contains("Level Anda di Journey berubah dari BRONZE menjadi GOLD."), "{id}");
        assert!(en.contains("In Journey you moved from BRONZE to GOLD."), "{en}");
        // What a reward put into the wallet is no cashback.
        assert!(id.contains("cashback Rp\u{a0}100 di"), "{id}");
        assert!(id.contains("menerima 1.500 poin") && id.contains("menerima Rp\u{a0}5.000"), "{id}");
        assert!(en.contains("received 1,500 points") && en.contains("received Rp\u{a0}5.000"), "{en}");
        // Who stands somewhere for the first time, or where it was in the end, is not told.
        assert_eq!(mail(&json!([tier(None, "BRONZE")]), Language::English, false), None);
        assert_eq!(mail(&json!([tier(Some("A"), "B"), tier(Some("B"), "A")]), Language::English, false), None);
        assert!(mail(&json!([tier(Some("GOLD"), "SILVER")]), Language::English, false).is_some());
    }

    #[test]
    fn names_are_text_wherever_they_stand() {
        let written = mail(&purchase(1), Language::English, false).expect("a mail");
        assert!(!written.subject.contains(['\r', '\n']), "{}", written.subject);
        assert!(!written.text.lines().chain(written.html.lines()).any(|line| line.starts_with("Bcc")));
        assert!(written.html.contains("Toko &lt;Kopi&gt; &amp; &quot;Teh&quot;") && !written.html.contains("<Kopi>"));
    }
}
