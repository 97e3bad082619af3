//! The settings of a server: from flags, then the environment, then a file, then defaults; parsed once, into a type
//! that cannot be wrong.
//!
//! A key that is not known is refused, in the file and in the environment: a misspelt setting must not be a silent one.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::Args;
use kembali_http::outgoing::{Network, TargetUrl};
use kembali_http::{PartnerLimits, PeopleLimits};
use kembali_notify::{Language, MailConfig, TransportUrl};
use serde::Deserialize;

const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
const DATA_DIR_DEFAULT: &str = "kembali-data";
pub(crate) const GENERATION_BYTES_DEFAULT: u64 = 128 * 1024 * 1024;
const GENERATION_BYTES_MIN: u64 = 4_096;
const OPERATOR_TOKEN_BYTES_MIN: usize = 16;
const KEZBEK_KEY_BYTES_MIN: usize = 16;
const KAFKA_GROUP_DEFAULT: &str = "kembali";

/// The names that the environment may use. The last six are not settings of a server: four are of the client commands,
/// two of the tests.
const ENVIRONMENT: [&str; 38] = [
    "KEMBALI_CONFIG",
    "KEMBALI_LISTEN",
    "KEMBALI_DATA_DIR",
    "KEMBALI_SHARDS",
    "KEMBALI_RESIDENT_MAX",
    "KEMBALI_GENERATION_BYTES",
    "KEMBALI_FREE_BYTES_MIN",
    "KEMBALI_OPERATOR_TOKEN",
    "KEMBALI_INSTALLATION_KEY",
    "KEMBALI_SECRETS_KEY",
    "KEMBALI_REGISTRATION",
    "KEMBALI_PARTNER_REQUESTS_PER_SECOND",
    "KEMBALI_PARTNER_REQUESTS_AT_ONCE",
    "KEMBALI_LOGIN_LIMIT_BY_ADDRESS",
    "KEMBALI_REGISTRATIONS_PER_MINUTE",
    "KEMBALI_TLS_CERTIFICATE",
    "KEMBALI_TLS_KEY",
    "KEMBALI_KEZBEK_TENANT",
    "KEMBALI_KEZBEK_ENCRYPT_KEY",
    "KEMBALI_DOMPET_TENANT",
    "KEMBALI_DOMPET_MARKETPLACE",
    "KEMBALI_LOYALTEA",
    "KEMBALI_ONETAP",
    "KEMBALI_LOYALTEA_KAFKA_BROKERS",
    "KEMBALI_LOYALTEA_KAFKA_KEYS",
    "KEMBALI_LOYALTEA_KAFKA_GROUP",
    "KEMBALI_WEBHOOK_NETWORKS",
    "KEMBALI_MAIL_TENANTS",
    "KEMBALI_MAIL_FROM",
    "KEMBALI_MAIL_TRANSPORT",
    "KEMBALI_MAIL_LANGUAGE",
    "KEMBALI_MAIL_EACH_PURCHASE",
    "KEMBALI_URL",
    "KEMBALI_CA_FILE",
    "KEMBALI_API_KEY",
    "KEMBALI_API_SECRET",
    "KEMBALI_DEPTH",
    "KEMBALI_SEED",
];

/// Flags and environment.
#[derive(Args, Default)]
pub(crate) struct Flags {
    /// A TOML file with any of: listen, data_dir, shards, resident_max, generation_bytes, free_bytes_min, operator_token,
    /// installation_key, secrets_key, registration, partner_requests_per_second, partner_requests_at_once,
    /// login_limit_by_address, registrations_per_minute, tls_certificate, tls_key,
    /// kezbek_tenant, kezbek_encrypt_key, dompet_tenant, dompet_marketplace, loyaltea, loyaltea_kafka_brokers,
    /// loyaltea_kafka_keys, loyaltea_kafka_group, onetap, webhook_networks, mail_tenants, mail_from,
    /// mail_transport, mail_language, mail_each_purchase
    #[arg(long, env = "KEMBALI_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, env = "KEMBALI_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where everything is kept [default: kembali-data]
    #[arg(long, env = "KEMBALI_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many shards decide; the ledger is the same for any number [default: 1]
    #[arg(long, env = "KEMBALI_SHARDS", value_name = "N")]
    shards: Option<usize>,
    /// How many customers stay in memory, 1 or more; the others lie in a file and come back when they are used [default: all]
    #[arg(long, env = "KEMBALI_RESIDENT_MAX", value_name = "CUSTOMERS")]
    resident_max: Option<NonZeroUsize>,
    /// How many bytes of frames the journal collects before it archives them, 4096 or more [default: 134217728]
    #[arg(long, env = "KEMBALI_GENERATION_BYTES", value_name = "BYTES")]
    generation_bytes: Option<u64>,
    /// With fewer bytes free on the disk the server is read-only; 0 turns the guard off [default: twice
    /// generation_bytes and 256 MiB]
    #[arg(long, env = "KEMBALI_FREE_BYTES_MIN", value_name = "BYTES")]
    free_bytes_min: Option<u64>,
    /// What its holder sends as Bearer token to do all in every tenant, such as to make the first admin; 16 bytes or more. Without
    /// it nobody can
    #[arg(long, env = "KEMBALI_OPERATOR_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    operator_token: Option<String>,
    /// 64 hex digits to make a new ledger with; without it, one is drawn at first start
    #[arg(long, env = "KEMBALI_INSTALLATION_KEY", value_name = "HEX", hide_env_values = true)]
    installation_key: Option<String>,
    /// 64 hex digits that the secrets of partners' API keys and the key of people's tokens are sealed under; without it no API key
    /// can have a secret, and nobody can log in. Keep it beside the data directory, not in it
    #[arg(long, env = "KEMBALI_SECRETS_KEY", value_name = "HEX", hide_env_values = true)]
    secrets_key: Option<String>,
    /// Tenants in which anybody may register as a customer, with commas between them [default: none]
    #[arg(long, env = "KEMBALI_REGISTRATION", value_name = "TENANTS", value_delimiter = ',')]
    registration: Option<Vec<String>>,
    /// Requests that a partner may send in a second, if it has no limit of its own [default: 50000]
    #[arg(long, env = "KEMBALI_PARTNER_REQUESTS_PER_SECOND", value_name = "N")]
    partner_requests_per_second: Option<NonZeroU32>,
    /// Requests that a partner may have under way at one time, if it has no limit of its own [default: 1024]
    #[arg(long, env = "KEMBALI_PARTNER_REQUESTS_AT_ONCE", value_name = "N")]
    partner_requests_at_once: Option<NonZeroU32>,
    /// Whether log-ins are limited by address too; false behind a proxy, where all come from one [default: true]
    #[arg(long, env = "KEMBALI_LOGIN_LIMIT_BY_ADDRESS", value_name = "BOOL")]
    login_limit_by_address: Option<bool>,
    /// Customers that may register in a minute, all together [default: 60]
    #[arg(long, env = "KEMBALI_REGISTRATIONS_PER_MINUTE", value_name = "N")]
    registrations_per_minute: Option<NonZeroU32>,
    /// A file with a certificate and those that prove it, in PEM. With it the server speaks TLS alone, and HTTP/2 too; it is read
    /// again when it changes [default: none, and no TLS]
    #[arg(long, env = "KEMBALI_TLS_CERTIFICATE", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// The file with the private key of the certificate, in PEM
    #[arg(long, env = "KEMBALI_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Networks that webhooks may be sent to beside public addresses, also without TLS, such as 10.0.0.0/8, with commas between them
    /// [default: none]
    #[arg(long, env = "KEMBALI_WEBHOOK_NETWORKS", value_name = "NETWORKS", value_delimiter = ',')]
    webhook_networks: Option<Vec<String>>,
    /// Tenants whose customers get mail of what they earn and where they stand, with commas between them [default: none]
    #[arg(long, env = "KEMBALI_MAIL_TENANTS", value_name = "TENANTS", value_delimiter = ',')]
    mail_tenants: Option<Vec<String>>,
    /// Whom mail is from, such as "Shop <no-reply@shop.example>"
    #[arg(long, env = "KEMBALI_MAIL_FROM", value_name = "ADDRESS")]
    mail_from: Option<String>,
    /// Where mail goes: smtps://user:password@host, smtp://user:password@host?tls=required, smtp://localhost:25 for one that is
    /// here, or file:folder [default: the folder mail in the data directory, and to nobody]
    #[arg(long, env = "KEMBALI_MAIL_TRANSPORT", value_name = "URL", hide_env_values = true)]
    mail_transport: Option<String>,
    /// The language of mail, id or en [default: id]
    #[arg(long, env = "KEMBALI_MAIL_LANGUAGE", value_name = "LANGUAGE")]
    mail_language: Option<String>,
    /// Whether a purchase that earned nothing is mailed about too [default: false]
    #[arg(long, env = "KEMBALI_MAIL_EACH_PURCHASE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    mail_each_purchase: Option<bool>,
    /// The tenant whose clients speak KezBek's API, beside the native one [default: none]
    #[arg(long, env = "KEMBALI_KEZBEK_TENANT", value_name = "TENANT")]
    kezbek_tenant: Option<String>,
    /// What KezBek's journey ids are encrypted under: its ENCRYPT_KEY, or any other text of 16 bytes or more
    #[arg(long, env = "KEMBALI_KEZBEK_ENCRYPT_KEY", value_name = "TEXT", hide_env_values = true)]
    kezbek_encrypt_key: Option<String>,
    /// The tenant whose clients speak Dompet Digital Sawit's GraphQL, beside the native API [default: none]
    #[arg(long, env = "KEMBALI_DOMPET_TENANT", value_name = "TENANT")]
    dompet_tenant: Option<String>,
    /// Where the GraphQL of that tenant's marketplace is, which is asked before its bills are paid and told afterwards
    /// [default: none]
    #[arg(long, env = "KEMBALI_DOMPET_MARKETPLACE", value_name = "URL")]
    dompet_marketplace: Option<String>,
    /// Whether clients may speak Loyaltea's API too, each about its own tenant [default: false]
    #[arg(long, env = "KEMBALI_LOYALTEA", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    loyaltea: Option<bool>,
    /// Merchants whose clients may speak onetap's API too, each a tenant, with commas between them; everybody sees their tiers and
    /// cashbacks [default: none]
    #[arg(long, env = "KEMBALI_ONETAP", value_name = "TENANTS", value_delimiter = ',')]
    onetap: Option<Vec<String>>,
    /// Kafka brokers whose topic `buy` Loyaltea's events are taken from as well, with commas between them. Only a build with the
    /// feature kafka can [default: none]
    #[arg(long, env = "KEMBALI_LOYALTEA_KAFKA_BROKERS", value_name = "HOST:PORT")]
    loyaltea_kafka_brokers: Option<String>,
    /// Keys of the partners, one of each tenant, that these events are booked for, as key or key:secret, with commas between them
    #[arg(
        long,
        env = "KEMBALI_LOYALTEA_KAFKA_KEYS",
        value_name = "KEYS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    loyaltea_kafka_keys: Option<Vec<String>>,
    /// The consumer group [default: kembali]
    #[arg(long, env = "KEMBALI_LOYALTEA_KAFKA_GROUP", value_name = "NAME")]
    loyaltea_kafka_group: Option<String>,
}

/// What the file may hold.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    data_dir: Option<PathBuf>,
    shards: Option<usize>,
    resident_max: Option<NonZeroUsize>,
    generation_bytes: Option<u64>,
    free_bytes_min: Option<u64>,
    operator_token: Option<String>,
    installation_key: Option<String>,
    secrets_key: Option<String>,
    registration: Option<Vec<String>>,
    partner_requests_per_second: Option<NonZeroU32>,
    partner_requests_at_once: Option<NonZeroU32>,
    login_limit_by_address: Option<bool>,
    registrations_per_minute: Option<NonZeroU32>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    webhook_networks: Option<Vec<String>>,
    mail_tenants: Option<Vec<String>>,
    mail_from: Option<String>,
    mail_transport: Option<String>,
    mail_language: Option<String>,
    mail_each_purchase: Option<bool>,
    kezbek_tenant: Option<String>,
    kezbek_encrypt_key: Option<String>,
    dompet_tenant: Option<String>,
    dompet_marketplace: Option<String>,
    loyaltea: Option<bool>,
    onetap: Option<Vec<String>>,
    loyaltea_kafka_brokers: Option<String>,
    loyaltea_kafka_keys: Option<Vec<String>>,
    loyaltea_kafka_group: Option<String>,
}

/// Where Loyaltea's events come from beside requests.
#[derive(Clone)]
pub(crate) struct Kafka {
    pub(crate) brokers: String,
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "nothing is taken from Kafka then"))]
    pub(crate) keys: Vec<String>,
    pub(crate) group: String,
}

/// The settings of a server, checked.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) shards: NonZeroUsize,
    /// Customers in memory; `None` for all.
    pub(crate) resident_max: Option<NonZeroUsize>,
    pub(crate) generation_bytes: u64,
    pub(crate) free_bytes_min: u64,
    pub(crate) operator_token: Option<String>,
    pub(crate) installation_key: Option<[u8; 32]>,
    pub(crate) secrets_key: Option<[u8; 32]>,
    pub(crate) registration: Vec<String>,
    pub(crate) partners: PartnerLimits,
    pub(crate) people: PeopleLimits,
    /// The files of a certificate and of its key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Where webhooks may be sent to beside public addresses.
    pub(crate) webhook_networks: Vec<Network>,
    /// How mail is sent, if it is.
    pub(crate) mail: Option<MailConfig>,
    /// The tenant of KezBek's clients, and what journey ids are encrypted under.
    pub(crate) kezbek: Option<(String, String)>,
    /// The tenant of Dompet's clients, and where its marketplace is.
    pub(crate) dompet: Option<(String, Option<TargetUrl>)>,
    /// True where clients may speak Loyaltea's API.
    pub(crate) loyaltea: bool,
    /// The merchants whose clients may speak onetap's API.
    pub(crate) onetap: Vec<String>,
    /// Where Loyaltea's events come from as well.
    pub(crate) loyaltea_kafka: Option<Kafka>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("the environment holds {0}, which is no setting of kembali")]
    UnknownVariable(String),
    #[error("reading the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is wrong: {source}", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    #[error("listen must be an address and a port, such as 127.0.0.1:8080, not {0}")]
    Listen(String),
    #[error("shards must be 1 to 256, not {0}")]
    Shards(usize),
    #[error("generation_bytes must be at least {GENERATION_BYTES_MIN}, not {0}")]
    GenerationBytes(u64),
    #[error("operator_token must have at least {OPERATOR_TOKEN_BYTES_MIN} bytes of visible ASCII")]
    OperatorToken,
    #[error("installation_key must have 64 hex digits")]
    InstallationKey,
    #[error("secrets_key must have 64 hex digits")]
    SecretsKey,
    #[error("webhook_networks {1}, not {0}")]
    Network(String, String),
    #[error(
        "mail_tenants needs mail_from, such as Shop <no-reply@shop.example>, and the other settings of mail need both"
    )]
    Mail,
    #[error("mail_from must look like Shop <no-reply@shop.example>, not {0}")]
    MailFrom(String),
    #[error("mail_transport {0}")]
    MailTransport(String),
    #[error("mail_language {1}, not {0}")]
    MailLanguage(String, String),
    #[error("tls_certificate and tls_key go together: one of them is not set")]
    Tls,
    #[error(
        "kezbek_tenant and kezbek_encrypt_key go together, and the second has {KEZBEK_KEY_BYTES_MIN} bytes or more"
    )]
    KezBek,
    #[error("dompet_marketplace {1}, not {0}")]
    Marketplace(String, String),
    #[error("a tenant is named by 1 to 64 of a-z, 0-9 and '-', not {0}")]
    Tenant(String),
    #[error("dompet_marketplace needs dompet_tenant")]
    Dompet,
    #[error("loyaltea_kafka_brokers needs loyaltea, and loyaltea_kafka_keys with a key at least; and those need it")]
    Kafka,
    #[error("loyaltea_kafka_brokers is set, and this build takes nothing from Kafka: build it with --features kafka")]
    NoKafka,
}

/// Whether a tenant may be called so.
fn is_slug(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

impl Flags {
    /// Reads the file, and checks everything together.
    pub(crate) fn settings(self) -> Result<Settings, SettingsError> {
        let unknown = |(name, _): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok()?;
            // An orchestrator sets these for a service of this name; nobody misspells a setting like that.
            let is_service = name.starts_with("KEMBALI_SERVICE_") || name.starts_with("KEMBALI_PORT");
            (name.starts_with("KEMBALI_") && !is_service && !ENVIRONMENT.contains(&name.as_str())).then_some(name)
        };
        if let Some(name) = std::env::vars_os().find_map(unknown) {
            return Err(SettingsError::UnknownVariable(name));
        }
        let file = match self.config {
            None => File::default(),
            Some(path) => {
                let text =
                    fs::read_to_string(&path).map_err(|source| SettingsError::Read { path: path.clone(), source })?;
                toml::from_str(&text).map_err(|source| SettingsError::Parse { path, source: Box::new(source) })?
            }
        };
        let listen = self.listen.or(file.listen).unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
        let shards = self.shards.or(file.shards).unwrap_or(1);
        let partners = PartnerLimits::default();
        let (per_second, at_once) = (self.partner_requests_per_second, self.partner_requests_at_once);
        let per_second = per_second.or(file.partner_requests_per_second).unwrap_or(partners.requests_per_second);
        let at_once = at_once.or(file.partner_requests_at_once).unwrap_or(partners.requests_at_once);
        let people = PeopleLimits::default();
        let by_address = self.login_limit_by_address.or(file.login_limit_by_address).unwrap_or(people.by_address);
        let registrations_per_minute = self.registrations_per_minute.or(file.registrations_per_minute);
        let registrations_per_minute = registrations_per_minute.unwrap_or(people.registrations_per_minute);
        let tls = match (self.tls_certificate.or(file.tls_certificate), self.tls_key.or(file.tls_key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(SettingsError::Tls),
        };
        let networks = self.webhook_networks.or(file.webhook_networks).unwrap_or_default().into_iter();
        let network = |text: String| text.parse().map_err(|form| SettingsError::Network(text, form));
        let webhook_networks = networks.map(network).collect::<Result<_, _>>()?;
        let data_dir = self.data_dir.or(file.data_dir).unwrap_or_else(|| DATA_DIR_DEFAULT.into());
        let mail = MailFlags {
            tenants: self.mail_tenants.or(file.mail_tenants),
            from: self.mail_from.or(file.mail_from),
            transport: self.mail_transport.or(file.mail_transport),
            language: self.mail_language.or(file.mail_language),
            mails_each_purchase: self.mail_each_purchase.or(file.mail_each_purchase),
        };
        let mail = mail.config(&data_dir)?;
        let encrypt_key = self.kezbek_encrypt_key.or(file.kezbek_encrypt_key);
        let kezbek = match (self.kezbek_tenant.or(file.kezbek_tenant), encrypt_key) {
            (Some(tenant), _) if !is_slug(&tenant) => return Err(SettingsError::Tenant(tenant)),
            (Some(tenant), Some(key)) if KEZBEK_KEY_BYTES_MIN <= key.len() => Some((tenant, key)),
            (None, None) => None,
            _ => return Err(SettingsError::KezBek),
        };
        let marketplace = self.dompet_marketplace.or(file.dompet_marketplace);
        let marketplace = marketplace.map(|url| url.parse().map_err(|form| SettingsError::Marketplace(url, form)));
        let dompet = match (self.dompet_tenant.or(file.dompet_tenant), marketplace.transpose()?) {
            (Some(tenant), _) if !is_slug(&tenant) => return Err(SettingsError::Tenant(tenant)),
            (Some(tenant), marketplace) => Some((tenant, marketplace)),
            (None, None) => None,
            (None, Some(_)) => return Err(SettingsError::Dompet),
        };
        let onetap = self.onetap.or(file.onetap).unwrap_or_default();
        if let Some(wrong) = onetap.iter().find(|merchant| !is_slug(merchant)) {
            return Err(SettingsError::Tenant(wrong.clone()));
        }
        let loyaltea = self.loyaltea.or(file.loyaltea).unwrap_or_default();
        let kafka_group = self.loyaltea_kafka_group.or(file.loyaltea_kafka_group);
        let loyaltea_kafka = match (
            self.loyaltea_kafka_brokers.or(file.loyaltea_kafka_brokers),
            self.loyaltea_kafka_keys.or(file.loyaltea_kafka_keys),
        ) {
            (Some(_), _) if !cfg!(feature = "kafka") => return Err(SettingsError::NoKafka),
            (Some(brokers), Some(keys)) if loyaltea && !keys.is_empty() => {
                Some(Kafka { brokers, keys, group: kafka_group.unwrap_or_else(|| KAFKA_GROUP_DEFAULT.to_owned()) })
            }
            (None, None) if kafka_group.is_none() => None,
            _ => return Err(SettingsError::Kafka),
        };
        let generation_bytes = self.generation_bytes.or(file.generation_bytes).unwrap_or(GENERATION_BYTES_DEFAULT);
        if generation_bytes < GENERATION_BYTES_MIN {
            return Err(SettingsError::GenerationBytes(generation_bytes));
        }
        Ok(Settings {
            listen: listen.parse().map_err(|_| SettingsError::Listen(listen))?,
            data_dir,
            shards: NonZeroUsize::new(shards)
                .filter(|count| count.get() <= 256)
                .ok_or(SettingsError::Shards(shards))?,
            resident_max: self.resident_max.or(file.resident_max),
            generation_bytes,
            free_bytes_min: self
                .free_bytes_min
                .or(file.free_bytes_min)
                .unwrap_or_else(|| free_bytes_min_default(generation_bytes)),
            operator_token: self.operator_token.or(file.operator_token).map(operator_token).transpose()?,
            installation_key: self
                .installation_key
                .or(file.installation_key)
                .map(|hex| key_of_hex(&hex).ok_or(SettingsError::InstallationKey))
                .transpose()?,
            secrets_key: self
                .secrets_key
                .or(file.secrets_key)
                .map(|hex| key_of_hex(&hex).ok_or(SettingsError::SecretsKey))
                .transpose()?,
            registration: self.registration.or(file.registration).unwrap_or_default(),
            partners: PartnerLimits { requests_per_second: per_second, requests_at_once: at_once },
            people: PeopleLimits { by_address, registrations_per_minute },
            tls,
            webhook_networks,
            mail,
            kezbek,
            dompet,
            loyaltea,
            onetap,
            loyaltea_kafka,
        })
    }
}

/// The settings of mail, not checked yet.
struct MailFlags {
    tenants: Option<Vec<String>>,
    from: Option<String>,
    transport: Option<String>,
    language: Option<String>,
    mails_each_purchase: Option<bool>,
}

impl MailFlags {
    fn config(self, data_dir: &Path) -> Result<Option<MailConfig>, SettingsError> {
        let MailFlags { tenants, from, transport, language, mails_each_purchase } = self;
        let (tenants, from) = match (tenants, from) {
            (Some(tenants), Some(from)) => (tenants, from),
            (None, None) if transport.is_none() && language.is_none() && mails_each_purchase.is_none() => {
                return Ok(None);
            }
            _ => return Err(SettingsError::Mail),
        };
        if let Some(wrong) = tenants.iter().find(|tenant| !is_slug(tenant)) {
            return Err(SettingsError::Tenant(wrong.clone()));
        }
        let mut tenants = tenants;
        tenants.sort_unstable();
        tenants.dedup();
        let transport = match transport {
            Some(url) => url.parse().map_err(SettingsError::MailTransport)?,
            None => TransportUrl::Folder(data_dir.join("mail")),
        };
        let language = match language {
            Some(text) => text.parse().map_err(|form| SettingsError::MailLanguage(text, form))?,
            None => Language::Indonesian,
        };
        let from = from.parse().map_err(|_| SettingsError::MailFrom(from))?;
        let mails_each_purchase = mails_each_purchase.unwrap_or_default();
        Ok(Some(MailConfig { tenants, from, transport, language, mails_each_purchase }))
    }
}

/// What is under way when the disk runs low must still fit: the rest of a generation, which the store writes more than
/// once, its segment, a snapshot.
pub(crate) fn free_bytes_min_default(generation_bytes: u64) -> u64 {
    generation_bytes.saturating_mul(2).saturating_add(256 * 1024 * 1024)
}

/// Takes a token that is long enough to be a secret.
pub(crate) fn operator_token(token: String) -> Result<String, SettingsError> {
    let fits = OPERATOR_TOKEN_BYTES_MIN <= token.len() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(token) } else { Err(SettingsError::OperatorToken) }
}

fn key_of_hex(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut key = [0; 32];
    for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let high = char::from(digits[0]).to_digit(16)?;
        let low = char::from(digits[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(key)
}

/// The effective settings; secrets are only said to be there.
impl fmt::Display for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |set: bool| if set { "(set)" } else { "(not set)" };
        writeln!(out, "listen = {}", self.listen)?;
        writeln!(out, "data_dir = {}", self.data_dir.display())?;
        writeln!(out, "shards = {}", self.shards)?;
        writeln!(out, "resident_max = {}", self.resident_max.map_or("all".to_owned(), |max| max.to_string()))?;
        writeln!(out, "generation_bytes = {}", self.generation_bytes)?;
        writeln!(out, "free_bytes_min = {}", self.free_bytes_min)?;
        writeln!(out, "operator_token = {}", hidden(self.operator_token.is_some()))?;
        writeln!(out, "installation_key = {}", hidden(self.installation_key.is_some()))?;
        writeln!(out, "secrets_key = {}", hidden(self.secrets_key.is_some()))?;
        writeln!(out, "registration = {}", self.registration.join(","))?;
        writeln!(out, "partner_requests_per_second = {}", self.partners.requests_per_second)?;
        writeln!(out, "partner_requests_at_once = {}", self.partners.requests_at_once)?;
        writeln!(out, "login_limit_by_address = {}", self.people.by_address)?;
        writeln!(out, "registrations_per_minute = {}", self.people.registrations_per_minute)?;
        match &self.tls {
            Some((certificate, key)) => {
                writeln!(out, "tls_certificate = {}", certificate.display())?;
                write!(out, "tls_key = {}", key.display())
            }
            None => write!(out, "tls_certificate = (not set)"),
        }?;
        let networks: Vec<String> = self.webhook_networks.iter().map(ToString::to_string).collect();
        write!(out, "\nwebhook_networks = {}", networks.join(","))?;
        match &self.mail {
            Some(mail) => {
                writeln!(out, "\nmail_tenants = {}", mail.tenants.join(","))?;
                writeln!(out, "mail_from = {}\nmail_transport = {}", mail.from, mail.transport)?;
                write!(out, "mail_language = {}\nmail_each_purchase = {}", mail.language, mail.mails_each_purchase)?;
            }
            None => write!(out, "\nmail_tenants = (not set)")?,
        }
        let tenant = self.kezbek.as_ref().map_or("(not set)", |(tenant, _)| tenant);
        writeln!(out, "\nkezbek_tenant = {tenant}\nkezbek_encrypt_key = {}", hidden(self.kezbek.is_some()))?;
        let (tenant, marketplace) =
            self.dompet.as_ref().map_or(("(not set)", None), |(tenant, marketplace)| (tenant, marketplace.as_ref()));
        let marketplace = marketplace.map_or_else(|| "(not set)".to_owned(), ToString::to_string);
        writeln!(out, "dompet_tenant = {tenant}\ndompet_marketplace = {marketplace}")?;
        let (brokers, group) = self.loyaltea_kafka.as_ref().map_or(("(not set)", ""), |own| (&own.brokers, &own.group));
        writeln!(out, "onetap = {}", self.onetap.join(","))?;
        writeln!(out, "loyaltea = {}\nloyaltea_kafka_brokers = {brokers}", self.loyaltea)?;
        write!(out, "loyaltea_kafka_keys = {}\nloyaltea_kafka_group = {group}", hidden(self.loyaltea_kafka.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Flags, SettingsError, key_of_hex, operator_token};

    #[test]
    fn a_key_is_64_hex_digits() {
        assert_eq!(key_of_hex(&"0f".repeat(32)), Some([0x0f; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"é".repeat(32)] {
            assert_eq!(key_of_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_short_token_is_refused() {
        assert!(matches!(operator_token("secret".into()), Err(SettingsError::OperatorToken)));
        assert!(operator_token("a-token-of-16-bytes-or-more".into()).is_ok());
    }

    #[test]
    fn defaults_fit_and_nonsense_does_not() {
        assert!(Flags::default().settings().is_ok());
        assert!(matches!(Flags { shards: Some(0), ..Flags::default() }.settings(), Err(SettingsError::Shards(0))));
        assert!(matches!(
            Flags { listen: Some("here".into()), ..Flags::default() }.settings(),
            Err(SettingsError::Listen(_))
        ));
    }

    #[test]
    fn secrets_are_not_shown() {
        let (operator_token, key) = (Some("a-token-of-16-bytes-or-more".into()), "0f".repeat(32));
        let flags = Flags { operator_token, secrets_key: Some(key), ..Flags::default() };
        let shown = flags.settings().expect("valid").to_string();
        assert!(shown.contains("operator_token = (set)") && !shown.contains("a-token"), "{shown}");
        assert!(shown.contains("secrets_key = (set)") && !shown.contains("0f0f"), "{shown}");
        let flags = Flags { secrets_key: Some("0f".into()), ..Flags::default() };
        assert!(matches!(flags.settings(), Err(SettingsError::SecretsKey)));
        for (tenant, key) in [(Some("a"), None), (None, Some("a text of 16 bytes")), (Some("a"), Some("S3cret"))] {
            let (kezbek_tenant, kezbek_encrypt_key) = (tenant.map(str::to_owned), key.map(str::to_owned));
            let flags = Flags { kezbek_tenant, kezbek_encrypt_key, ..Flags::default() };
            assert!(matches!(flags.settings(), Err(SettingsError::KezBek)));
        }
        let of = |tenant: Option<&str>, url: &str| {
            let (dompet_tenant, dompet_marketplace) = (tenant.map(str::to_owned), Some(url.to_owned()));
            Flags { dompet_tenant, dompet_marketplace, ..Flags::default() }.settings()
        };
        assert!(matches!(of(None, "http://shop.example/graphql"), Err(SettingsError::Dompet)));
        assert!(matches!(of(Some("Sawit"), "http://shop.example/"), Err(SettingsError::Tenant(_))));
        assert!(matches!(of(Some(&"s".repeat(65)), "http://shop.example/"), Err(SettingsError::Tenant(_))));
        assert!(matches!(of(Some("sawit"), "shop.example"), Err(SettingsError::Marketplace(..))));
        let shown = of(Some("sawit"), "http://shop.example/graphql").expect("valid").to_string();
        assert!(shown.contains("dompet_marketplace = http://shop.example/graphql"), "{shown}");
        for (loyaltea, brokers, keys, group) in
            [(Some(true), None, Some(vec!["key".to_owned()]), None), (Some(true), None, None, Some("group".to_owned()))]
        {
            let (loyaltea_kafka_keys, loyaltea_kafka_brokers, loyaltea_kafka_group) = (keys, brokers, group);
            let kafka = Flags { loyaltea_kafka_keys, loyaltea_kafka_brokers, loyaltea_kafka_group, ..Flags::default() };
            assert!(matches!(Flags { loyaltea, ..kafka }.settings(), Err(SettingsError::Kafka)));
        }
        let brokers = Flags { loyaltea_kafka_brokers: Some("host:9092".into()), ..Flags::default() }.settings();
        let is_refused = match cfg!(feature = "kafka") {
            true => matches!(brokers, Err(SettingsError::Kafka)),
            false => matches!(brokers, Err(SettingsError::NoKafka)),
        };
        assert!(is_refused);
        let networks = |networks: &[&str]| Flags {
            webhook_networks: Some(networks.iter().map(|own| (*own).to_owned()).collect()),
            ..Flags::default()
        };
        assert!(matches!(networks(&["::1", "localhost"]).settings(), Err(SettingsError::Network(..))));
        let shown = networks(&["10.1.0.0/8", "::1"]).settings().expect("valid").to_string();
        assert!(shown.contains("webhook_networks = 10.0.0.0/8,::1/128"), "{shown}");
        let mail = |tenants: &str, from: Option<&str>, transport: Option<&str>| {
            let (mail_tenants, mail_from) = (Some(vec![tenants.to_owned()]), from.map(str::to_owned));
            Flags { mail_tenants, mail_from, mail_transport: transport.map(str::to_owned), ..Flags::default() }
                .settings()
        };
        let from = Some("Shop <no-reply@shop.example>");
        assert!(matches!(mail("journey", None, None), Err(SettingsError::Mail)));
        assert!(matches!(mail("Journey", from, None), Err(SettingsError::Tenant(_))));
        assert!(matches!(mail("journey", Some("no address"), None), Err(SettingsError::MailFrom(_))));
        for wrong in [
            "",
            "file:",
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtp://mail.example?tls=maybe",
            "smtp://me:s3cret@mail.example",
        ] {
            assert!(matches!(mail("journey", from, Some(wrong)), Err(SettingsError::MailTransport(_))), "{wrong}");
        }
        assert!(matches!(
            Flags { mail_language: Some("id".into()), ..Flags::default() }.settings(),
            Err(SettingsError::Mail)
        ));
        let shown = mail("journey", from, Some("smtps://me:s3cret@mail.example:465")).expect("valid").to_string();
        assert!(shown.contains("mail_transport = smtps://mail.example:465") && !shown.contains("s3cret"), "{shown}");
        let twice = Flags {
            mail_tenants: Some(vec!["journey".to_owned(), "a".to_owned(), "journey".to_owned()]),
            mail_from: from.map(str::to_owned),
            ..Flags::default()
        };
        assert!(twice.settings().is_ok_and(|own| own.mail.is_some_and(|mail| mail.tenants == ["a", "journey"])));
        let shown = mail("journey", from, None).expect("valid").to_string();
        assert!(
            shown.contains("mail_transport = file:kembali-data/mail") && shown.contains("mail_language = id"),
            "{shown}"
        );
        let flags = Flags { tls_key: Some("key.pem".into()), ..Flags::default() };
        assert!(matches!(flags.settings(), Err(SettingsError::Tls)));
    }
}
