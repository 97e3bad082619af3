//! What each endpoint is called, takes and answers, beside what the tables and the handlers say themselves.

use hyper::StatusCode;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Ref, Type};
use utoipa::openapi::{Content, RefOr, Schema};

use super::problems::PROBLEM;
use super::schemas::{JSON, Schemas, json};
use crate::routes::Endpoint;
use crate::wire::api_key::{ApiKeyGiven, NewApiKey};
use crate::wire::catalogue::{CatalogueFile, PromoFile, TierProgramFile};
use crate::wire::change::{NewPartner, PartnerCreated, PromoPatch};
use crate::wire::event::Frame;
use crate::wire::export::ExportLine;
use crate::wire::health::Health;
use crate::wire::hold::{HoldSettlement, NewHold};
use crate::wire::invoice::{NewInvoice, NewPayment};
use crate::wire::message::{ControlMessage, IngestReady};
use crate::wire::operation::{
    NewActivity, NewAdjustment, NewCustomer, NewDeposit, NewReason, NewRedemption, NewWallet, Nothing, OperationResult,
    OperationUnchanged, WalletPatch,
};
use crate::wire::partner::PartnerPatch;
use crate::wire::purchase::PurchaseBody;
use crate::wire::refund::NewRefund;
use crate::wire::result::{PurchaseResult, RefundedPurchase};
use crate::wire::review::ReviewPage;
use crate::wire::session::{
    AccountPatch, AccountShown, Login, NewAccountBody, PasswordChange, Refresh, Registration, SessionTokens,
    SigningKeyRotated,
};
use crate::wire::statement::Statement;
use crate::wire::system::VerificationShown;
use crate::wire::transfer::NewTransfer;
use crate::wire::webhook::{
    NewWebhookBody, NewWebhookSecret, WebhookCreated, WebhookPatch, WebhookProgress, WebhookShown,
};
use crate::wire::what_if::WhatIfLine;
use crate::{apply, feed, mail, operations, people, reads, snapshots, system, webhooks};

/// The groups of operations, in the order in which people read them.
pub(super) const TAGS: [(&str, &str); 13] = [
    (PURCHASES, "Booking purchases and looking at them again."),
    (CUSTOMERS, "What customers have, where they stand, and how it came about."),
    (ACCOUNTS, "What is done to a customer's wallets, levels and campaigns beside purchases."),
    (PROMOS, "What purchases earn, and how much of each quota is left."),
    (TIERS, "The levels that customers move through."),
    (PARTNERS, "Who sends purchases, and what administrators did."),
    (PEOPLE, "Accounts, log-ins and tokens."),
    (CATALOGUE, "All rules of a tenant, in versions."),
    (REPORTS, "Sums, and whether the books balance."),
    (STREAM, "What happens, as it happens."),
    (WEBHOOKS, "What happens, sent to where you want it."),
    (MAIL, "What customers are told by mail."),
    (SERVER, "The server itself, and this description."),
];

const PURCHASES: &str = "Purchases";
const CUSTOMERS: &str = "Customers";
const ACCOUNTS: &str = "Operations";
const PROMOS: &str = "Promos";
const TIERS: &str = "Tier programmes";
const PARTNERS: &str = "Partners";
const PEOPLE: &str = "People";
const CATALOGUE: &str = "Catalogue";
const REPORTS: &str = "Reports";
const STREAM: &str = "Event stream";
const WEBHOOKS: &str = "Webhooks";
const MAIL: &str = "Mail";
const SERVER: &str = "Server";

const NDJSON: &str = "application/x-ndjson";

/// An operation before the tables have added to it.
pub(super) struct Outline {
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: Option<&'static str>,
    pub(super) body: Option<RequestBody>,
    pub(super) replies: Vec<(u16, Response)>,
}

impl Outline {
    const fn new(id: &'static str, tag: &'static str, summary: &'static str) -> Outline {
        Outline { id, tag, summary, description: None, body: None, replies: Vec::new() }
    }

    const fn says(mut self, description: &'static str) -> Outline {
        self.description = Some(description);
        self
    }

    fn takes(mut self, body: RequestBody) -> Outline {
        self.body = Some(body);
        self
    }

    fn gives(self, reply: ResponseBuilder) -> Outline {
        self.gives_as(200, reply)
    }

    fn gives_as(mut self, status: u16, reply: ResponseBuilder) -> Outline {
        self.replies.push((status, reply.build()));
        self
    }
}

/// Describes an endpoint.
pub(super) fn outline(endpoint: Endpoint, schemas: &mut Schemas) -> Outline {
    match endpoint {
        Endpoint::BookPurchases => book_purchases(schemas),
        Endpoint::Purchase => Outline::new("showPurchase", PURCHASES, "Show a purchase")
            .says(
                "Byte for byte as it was answered when it was booked, and behind that what was refunded of it, if anything \
                 was. A partner sees its own only.",
            )
            .gives(json(StatusCode::OK, schemas.of::<RefundedPurchase<'static>>())),
        Endpoint::ExplainPurchase => Outline::new("explainPurchase", PURCHASES, "Explain a purchase")
            .says(
                "Each rule of the version that decided it: what it paid, or why it paid nothing, with the numbers that it \
                 saw then.",
            )
            .gives(schemas.reply(reads::explain::show)),
        Endpoint::FindCustomer => Outline::new("findCustomer", CUSTOMERS, "Find a customer by a name")
            .gives(schemas.reply(reads::customers::find)),
        Endpoint::Customer => {
            Outline::new("showCustomer", CUSTOMERS, "Show a customer").gives(schemas.reply(reads::customers::show))
        }
        Endpoint::Wallets => Outline::new("listWallets", CUSTOMERS, "Show a customer's wallets")
            .gives(schemas.reply(reads::customers::wallets)),
        Endpoint::PostCustomer => operation(
            Outline::new("createCustomer", ACCOUNTS, "Create a customer")
                .says("Whoever has the name already is named again, with `changed` false and status 200.")
                .takes(schemas.body::<NewCustomer>("The one name.")),
            schemas,
        ),
        Endpoint::PostWallet => operation(
            Outline::new("openWallet", ACCOUNTS, "Open one more wallet")
                .takes(schemas.body::<NewWallet>("The wallet.")),
            schemas,
        ),
        Endpoint::PatchWallet => change(
            Outline::new("changeWallet", ACCOUNTS, "Rename a wallet, freeze it, or make it active again")
                .says("A frozen wallet takes no debit and no credit: a purchase that would pay into it is refused.")
                .takes(schemas.body::<WalletPatch>("Exactly one of the two.")),
            schemas,
        ),
        Endpoint::DeleteWallet => change(
            Outline::new("closeWallet", ACCOUNTS, "Close a wallet for ever")
                .says("It must be empty, and not the one that cashback goes to."),
            schemas,
        ),
        Endpoint::PostDeposit => looked_at(
            Outline::new("deposit", ACCOUNTS, "Put money from outside into a wallet")
                .takes(schemas.body::<NewDeposit>("The money.")),
            schemas,
        ),
        Endpoint::PostAdjustment => operation(
            Outline::new("adjustWallet", ACCOUNTS, "Put a wallet right by hand")
                .takes(schemas.body::<NewAdjustment>("The correction, and why.")),
            schemas,
        ),
        Endpoint::EraseCustomer => change(
            Outline::new("eraseCustomer", ACCOUNTS, "Forget who a customer is, for ever")
                .says(
                    "The name of the customer and of the wallets, and the customer's accounts, are removed. The ledger keeps \
                     what happened, by an id that nothing leads to but the same e-mail address or reference: money and points \
                     stay, and a purchase that comes later is booked. Pay out, void holds and close wallets before.",
                )
                .takes(schemas.body::<NewReason>("Why.")),
            schemas,
        ),
        Endpoint::PostActivity => operation(
            Outline::new("reportActivity", ACCOUNTS, "Report something that a customer did")
                .says("Campaigns count it; one that is completed pays its rewards at once.")
                .takes(schemas.body::<NewActivity>("What the customer did.")),
            schemas,
        ),
        Endpoint::PostRedemption => operation(
            Outline::new("redeem", ACCOUNTS, "Spend a customer's points on an offer")
                .says("The points that expire soonest are spent first. A stock is never oversold.")
                .takes(schemas.body::<NewRedemption>("The offer, and how many units of it.")),
            schemas,
        ),
        Endpoint::PostHold => looked_at(
            Outline::new("placeHold", ACCOUNTS, "Set money of a wallet aside")
                .says(
                    "It stays in the wallet, and nothing but the hold may take it out. It is for the partner that asks, \
                     who settles or voids it before it expires.",
                )
                .takes(schemas.body::<NewHold>("How much, and for how long.")),
            schemas,
        ),
        Endpoint::SettleHold => operation(
            Outline::new("settleHold", ACCOUNTS, "Take what is held, or a part of it")
                .says(
                    "Its partner is paid, the rest is given free, and the hold is closed. A hold is closed once, by \
                     whatever comes first.",
                )
                .takes(schemas.optional_body::<HoldSettlement>("How much of it; all of it without this.")),
            schemas,
        ),
        Endpoint::VoidHold => operation(
            Outline::new("voidHold", ACCOUNTS, "Give free what is held")
                .says("The hold is closed.")
                .takes(schemas.optional_body::<Nothing>("Nothing: a hold is given free in whole.")),
            schemas,
        ),
        Endpoint::PostInvoice => operation(
            Outline::new("openInvoice", ACCOUNTS, "Open an invoice")
                .says(
                    "The effect names its number, a virtual account that a customer pays to. It is paid once, in full and \
                     in time, and its number is for ever.",
                )
                .takes(schemas.body::<NewInvoice>("How much, and for how long it can be paid.")),
            schemas,
        ),
        Endpoint::CancelInvoice => operation(
            Outline::new("cancelInvoice", ACCOUNTS, "Take an invoice back")
                .says("One that is paid stays paid.")
                .takes(schemas.optional_body::<Nothing>("Nothing: the path says all.")),
            schemas,
        ),
        Endpoint::Invoice => Outline::new("showInvoice", ACCOUNTS, "Show an invoice")
            .says("A partner sees its own.")
            .gives(schemas.reply(operations::invoices::show)),
        Endpoint::PostPayment => looked_at(
            Outline::new("payInvoice", ACCOUNTS, "Pay an invoice out of a wallet")
                .takes(schemas.body::<NewPayment>("The number of the invoice, and what it is for.")),
            schemas,
        ),
        Endpoint::Payments => Outline::new("listPayments", ACCOUNTS, "List payments, as they moved from state to state")
            .says(
                "The newest first: deposits, holds, payments of invoices and transfers, also those that were rejected. A page \
                 looks at a bounded part of the ledger, so it may have few or none before the last one.",
            )
            .gives(schemas.reply(reads::payments::list)),
        Endpoint::RiskChecks => Outline::new("listRiskChecks", ACCOUNTS, "List the checks of risk rules")
            .says(
                "The newest first: what was let be, what was flagged, and what was blocked. A page looks at a bounded part of \
                 the ledger, so it may have few checks or none before the last one.",
            )
            .gives(schemas.reply(reads::risk::list)),
        Endpoint::PostTransfer => looked_at(
            Outline::new("transfer", ACCOUNTS, "Send money to another wallet")
                .says(
                    "Of the same customer or another one of the tenant. It is three records: sent, received or declined, \
                     settled or returned; they are finished whatever stops in between, and the answer is the last of them. \
                     What is not taken is back in its wallet, and the answer says why.",
                )
                .takes(schemas.body::<NewTransfer>("Whose wallet, and how much.")),
            schemas,
        ),
        Endpoint::Holds => Outline::new("listHolds", CUSTOMERS, "List a customer's open holds")
            .says("A partner sees its own.")
            .gives(schemas.reply(reads::customers::holds)),
        Endpoint::Offers => Outline::new("listOffers", ACCOUNTS, "List what points may be spent on")
            .gives(schemas.reply(reads::offers::list)),
        Endpoint::Promote => operation(
            Outline::new("promote", ACCOUNTS, "Move a customer one level up by hand")
                .says("It holds until the customer's own purchases lead to another level."),
            schemas,
        ),
        Endpoint::Demote => operation(
            Outline::new("demote", ACCOUNTS, "Move a customer one level down by hand")
                .says("It holds until the customer's own purchases lead to another level."),
            schemas,
        ),
        Endpoint::Reverse => operation(
            Outline::new("reverseOperation", ACCOUNTS, "Take an operation back")
                .says(
                    "A deposit, a payment of an invoice, a hold that was settled, or a redemption: each entry of it is posted \
                     the other way round, in whole, whatever is said of the wallet. An operation is reversed once, and the \
                     invoice that it had paid is not paid again. What is taken out of a wallet may lead below zero where the \
                     tenant lets refunds do so.",
                )
                .takes(schemas.body::<NewReason>("Why.")),
            schemas,
        ),
        Endpoint::ArchiveRiskCheck => operation(
            Outline::new("archiveRiskCheck", ACCOUNTS, "Archive a check of risk rules")
                .says("It stays in the log, and is listed with `archived=true` alone.")
                .takes(schemas.optional_body::<Nothing>("Nothing: the path says all.")),
            schemas,
        ),
        Endpoint::Reviews => Outline::new("listReviews", ACCOUNTS, "List operations that are set aside")
            .says("The oldest first: what a risk rule set aside, and nobody has released or rejected yet.")
            .gives(json(StatusCode::OK, schemas.of::<ReviewPage<'static>>())),
        Endpoint::ReleaseReview => operation(
            Outline::new("releaseReview", ACCOUNTS, "Do what was set aside")
                .says(
                    "As if it were asked now, for whoever had asked, whose key leads to this from now on. Where it cannot be \
                     done now, that is the answer, and it stays set aside; a transfer that its target declines is over.",
                )
                .takes(schemas.optional_body::<Nothing>("Nothing: the path says all.")),
            schemas,
        ),
        Endpoint::RejectReview => operation(
            Outline::new("rejectReview", ACCOUNTS, "Refuse what was set aside")
                .says("Whoever had asked is told `review_rejected` under the same key from now on.")
                .takes(schemas.body::<NewReason>("Why.")),
            schemas,
        ),
        Endpoint::PostRefund => Outline::new("refundPurchase", PURCHASES, "Take a purchase back, in whole or in part")
            .says(
                "What it had earned is clawed back, less what the rest of it earns. `refund_id` is for ever within the \
                 purchase: the same content again gets the stored result, other content is a conflict. A refused refund \
                 does not occupy it.",
            )
            .takes(schemas.body::<NewRefund>("The purchase, and how much or what of it."))
            .gives(json(StatusCode::OK, schemas.of::<OperationResult<'static>>()).description("The dry run went well."))
            .gives_as(
                201,
                json(StatusCode::CREATED, schemas.of::<OperationResult<'static>>())
                    .description("It is booked.")
                    .header("Idempotency-Replayed", replayed()),
            ),
        Endpoint::Operation => Outline::new("showOperation", ACCOUNTS, "Show an operation")
            .says("Byte for byte as it was answered when it was done. A partner sees its own only.")
            .gives(json(StatusCode::OK, schemas.of::<OperationResult<'static>>())),
        Endpoint::Tiers => Outline::new("listTierMoves", CUSTOMERS, "Show where a customer stands, and stood")
            .gives(schemas.reply(reads::history::tiers)),
        Endpoint::Entries => Outline::new("listEntries", CUSTOMERS, "List the movements of a customer's wallets")
            .gives(schemas.reply(reads::history::entries)),
        Endpoint::CustomerPurchases => Outline::new("listCustomerPurchases", CUSTOMERS, "List a customer's purchases")
            .gives(schemas.reply(reads::history::purchases)),
        Endpoint::ExportCustomer => export(schemas),
        Endpoint::Statement => Outline::new("showStatement", CUSTOMERS, "Show a customer's statement")
            .says(
                "Opening balances, every entry of money and points, newest first, and closing balances. As CSV where \
                 `Accept` prefers `text/csv`: the closing balances stand on the first page, the opening ones on the last, and \
                 `Link` leads to the next.",
            )
            .gives(
                json(StatusCode::OK, schemas.of::<Statement>())
                    .content("text/csv", Content::new(Some(ObjectBuilder::new().schema_type(Type::String)))),
            ),
        Endpoint::Promos => Outline::new("listPromos", PROMOS, "List promos").gives(schemas.reply(reads::promos::list)),
        Endpoint::Promo => Outline::new("showPromo", PROMOS, "Show a promo").gives(schemas.reply(reads::promos::show)),
        Endpoint::PutPromo => Outline::new("putPromo", PROMOS, "Create or replace a promo")
            .takes(schemas.body::<PromoFile>("The promo; its `code` is that of the path."))
            .gives(schemas.reply(apply::promos::put)),
        Endpoint::PatchPromo => Outline::new("patchPromo", PROMOS, "Change parts of a promo")
            .takes(schemas.body::<PromoPatch>("What is to change."))
            .gives(schemas.reply(apply::promos::patch)),
        Endpoint::TierPrograms => Outline::new("listTierPrograms", TIERS, "List tier programmes")
            .gives(schemas.reply(reads::catalogue::tier_programs)),
        Endpoint::PutTierProgram => Outline::new("putTierProgram", TIERS, "Create or replace a tier programme")
            .takes(schemas.body::<TierProgramFile>("The programme; its `name` is that of the path."))
            .gives(schemas.reply(apply::tier_programs::put)),
        Endpoint::Partners => Outline::new("listPartners", PARTNERS, "List partners")
            .says("Keys are never shown.")
            .gives(schemas.reply(reads::catalogue::partners)),
        Endpoint::PostPartner => Outline::new("createPartner", PARTNERS, "Create a partner")
            .says("The key is in this answer and never in another.")
            .takes(schemas.body::<NewPartner>("The partner."))
            .gives(json(StatusCode::OK, schemas.of::<PartnerCreated>()).description("The dry run went well."))
            .gives_as(201, schemas.reply(apply::partners::post).description("The partner is created.")),
        Endpoint::PatchPartner => Outline::new("changePartner", PARTNERS, "Suspend a partner, open it again, or give it limits")
            .says("What is in flight is finished; streams that are open end. The keys stay as they are.")
            .takes(schemas.body::<PartnerPatch>("What is to change."))
            .gives(schemas.reply(apply::standing::patch)),
        Endpoint::Register => Outline::new("register", PEOPLE, "Register as a customer")
            .says(
                "Where the server lets anybody do so in the tenant. The customer is named by an e-mail address that no \
                 customer has, which is the username too where nothing else is. The answer logs in.",
            )
            .takes(schemas.body::<Registration>("Who registers."))
            .gives_as(201, json(StatusCode::CREATED, schemas.of::<SessionTokens>()).description("Registered and logged in.")),
        Endpoint::Login => Outline::new("login", PEOPLE, "Log in")
            .says("Tries are counted, of each account and from each address, and slowed down.")
            .takes(schemas.body::<Login>("Who logs in."))
            .gives_as(201, json(StatusCode::CREATED, schemas.of::<SessionTokens>()).description("Logged in.")),
        Endpoint::Refresh => Outline::new("refresh", PEOPLE, "Go on with a session")
            .says("A refresh token is good for once; shown again it ends the session, since somebody else has it.")
            .takes(schemas.body::<Refresh>("The token."))
            .gives(schemas.reply(people::sessions::refresh)),
        Endpoint::Logout => Outline::new("logout", PEOPLE, "Log out")
            .says("The access token opens nothing any more, and what it had opened ends.")
            .gives(schemas.reply(people::sessions::logout)),
        Endpoint::ChangePassword => Outline::new("changePassword", PEOPLE, "Change the own password")
            .says("All other sessions of the account end.")
            .takes(schemas.body::<PasswordChange>("Both passwords."))
            .gives(schemas.reply(people::sessions::change_password)),
        Endpoint::Me => {
            Outline::new("showMe", PEOPLE, "Show the own account").gives(schemas.reply(people::sessions::me))
        }
        Endpoint::PublicKeys => Outline::new("listPublicKeys", PEOPLE, "Show the public keys of access tokens")
            .gives(schemas.reply(people::sessions::public_keys)),
        Endpoint::FindAccount => Outline::new("findAccount", PEOPLE, "Find an account by its username")
            .gives(schemas.reply(people::accounts::find)),
        Endpoint::PostAccount => Outline::new("createAccount", PEOPLE, "Create an account")
            .says("A customer's account is for a customer who is there.")
            .takes(schemas.body::<NewAccountBody>("The account."))
            .gives_as(201, json(StatusCode::CREATED, schemas.of::<AccountShown>()).description("The account is created.")),
        Endpoint::Account => {
            Outline::new("showAccount", PEOPLE, "Show an account").gives(schemas.reply(people::accounts::show))
        }
        Endpoint::PatchAccount => Outline::new("changeAccount", PEOPLE, "Suspend an account, or give it a role or password")
            .says("Its sessions end. Nobody changes the own account so.")
            .takes(schemas.body::<AccountPatch>("What is to change."))
            .gives(schemas.reply(people::accounts::patch)),
        Endpoint::RotateSigningKey => Outline::new("rotateSigningKey", PEOPLE, "Sign access tokens with another key")
            .says("Those that are out stay good until they are over, and the old key is shown for as long.")
            .gives_as(
                201,
                json(StatusCode::CREATED, schemas.of::<SigningKeyRotated>()).description("It signs from now on."),
            ),
        Endpoint::Audit => Outline::new("listAudit", PARTNERS, "List what administrators did")
            .says(
                "Who did what, when, and what it was before: the newest first. Rules are told apart by their versions, which \
                 `GET /v1/catalogue` shows. A page looks through a bounded part of the ledger, so it may have no entry and a \
                 `next_cursor` all the same.",
            )
            .gives(schemas.reply(reads::audit::list)),
        Endpoint::ApiKeys => Outline::new("listApiKeys", PARTNERS, "List a partner's API keys")
            .says("By their ids, the revoked ones too. Keys themselves are never shown.")
            .gives(schemas.reply(apply::api_keys::list)),
        Endpoint::PostApiKey => Outline::new("createApiKey", PARTNERS, "Give a partner one more API key")
            .says("The key is in this answer and never in another.")
            .takes(schemas.body::<NewApiKey>("The key, or nothing in it."))
            .gives(json(StatusCode::OK, schemas.of::<ApiKeyGiven>()).description("The dry run went well."))
            .gives_as(201, schemas.reply(apply::api_keys::post).description("The key is given.")),
        Endpoint::DeleteApiKey => Outline::new("revokeApiKey", PARTNERS, "Revoke an API key for ever")
            .says("It also ends the streams that the key had opened. Doing it again changes nothing.")
            .gives(schemas.reply(apply::api_keys::delete)),
        Endpoint::Webhooks => Outline::new("listWebhooks", WEBHOOKS, "List webhooks")
            .says("A partner sees its own, an operator all of the tenant.")
            .gives(schemas.reply(webhooks::list)),
        Endpoint::PostWebhook => Outline::new("createWebhook", WEBHOOKS, "Create a webhook")
            .says(
                "From now on it is sent what happens: a JSON array of CloudEvents for each record, signed as Standard Webhooks \
                 have it. What is answered by a status 2xx within 15 seconds is delivered; 410 disables the webhook; all else \
                 is tried again for a day, ever more seldom. A receiver may see a delivery twice, and tells it by `webhook-id`; \
                 it misses none. What is about one customer comes in order: a delivery that fails holds back the later ones of \
                 its customer, for an hour at most, or until a hundred wait. Redirects are not followed. The secret is in this \
                 answer and never in another.",
            )
            .takes(schemas.body::<NewWebhookBody>("The webhook."))
            .gives_as(
                201,
                json(StatusCode::CREATED, schemas.of::<WebhookCreated<'static>>()).description("The webhook is created."),
            ),
        Endpoint::Webhook => Outline::new("showWebhook", WEBHOOKS, "Show a webhook, and how far it is")
            .says("What became of its deliveries is up to five seconds old.")
            .gives(json(StatusCode::OK, schemas.of::<WebhookProgress<'static>>())),
        Endpoint::PatchWebhook => Outline::new("changeWebhook", WEBHOOKS, "Change a webhook, or disable it")
            .says("What happens while it is disabled waits for it. Topics hold for whatever is not delivered yet: what is due and not asked for any more is not sent.")
            .takes(schemas.body::<WebhookPatch>("What is to change."))
            .gives(json(StatusCode::OK, schemas.of::<WebhookShown<'static>>())),
        Endpoint::DeleteWebhook => Outline::new("deleteWebhook", WEBHOOKS, "Delete a webhook")
            .says("What it has not sent is not sent, and what became of its deliveries is forgotten.")
            .gives(schemas.reply(webhooks::delete)),
        Endpoint::RotateWebhookSecret => {
            Outline::new("rotateWebhookSecret", WEBHOOKS, "Sign a webhook's deliveries with another secret")
                .says(
                    "Each delivery has a signature of the new secret and, for `overlap_hours`, one of the secret before it. The \
                     new one is in this answer and never in another.",
                )
                .takes(schemas.body::<NewWebhookSecret>("The secret, or nothing in it."))
                .gives_as(
                    201,
                    json(StatusCode::CREATED, schemas.of::<WebhookCreated<'static>>()).description("It signs from now on."),
                )
        }
        Endpoint::TestWebhook => Outline::new("testWebhook", WEBHOOKS, "Try a webhook out")
            .says(
                "Sends one event of the type `webhook.test`, which is in no ledger, waits for what comes of it and tells. A \
                 webhook that is disabled can be tried out too.",
            )
            .gives(schemas.reply(webhooks::test)),
        Endpoint::WebhookDeliveries => Outline::new("listDeliveries", WEBHOOKS, "List a webhook's deliveries")
            .says("Those of the newest records first. What is shown is up to five seconds old.")
            .gives(schemas.reply(webhooks::list_deliveries)),
        Endpoint::ReplayDelivery => Outline::new("replayDelivery", WEBHOOKS, "Make one delivery again")
            .says(
                "At once, and for another day: of any record that the webhook has looked at and of which it sends something. It \
                 has the `webhook-id` that it had, and holds back no other.",
            )
            .gives_as(202, schemas.reply(webhooks::replay).description("It is on its way.")),
        Endpoint::ReplayDeliveries => {
            Outline::new("replayDeliveries", WEBHOOKS, "Make all deliveries again that were given up")
                .gives_as(202, schemas.reply(webhooks::replay_given_up).description("They are on their way."))
        }
        Endpoint::Mail => Outline::new("showMail", MAIL, "Show how far mail to customers is")
            .says("What became of it is up to five seconds old.")
            .gives(schemas.reply(mail::show)),
        Endpoint::MailDeliveries => Outline::new("listMail", MAIL, "List what became of mail")
            .says("Those of the newest records first. To whom it went is not kept: the record says whom it is about.")
            .gives(schemas.reply(mail::list)),
        Endpoint::ReplayMail => Outline::new("replayMail", MAIL, "Send one mail again")
            .says("At once, and for another day, whatever became of it.")
            .gives_as(202, schemas.reply(mail::replay_one).description("It is on its way.")),
        Endpoint::ReplayMails => Outline::new("replayMails", MAIL, "Send all mail again that was given up")
            .gives_as(202, schemas.reply(mail::replay_given_up).description("It is on its way.")),
        Endpoint::Catalogue => Outline::new("showCatalogue", CATALOGUE, "Show the rules")
            .says("`catalogue` can be sent back as it is.")
            .gives(schemas.reply(reads::catalogue::show)),
        Endpoint::PutCatalogue => Outline::new("putCatalogue", CATALOGUE, "Make rules the next version")
            .says("Creates the tenant if there is none.")
            .takes(schemas.body::<CatalogueFile>("All rules; `tenant.slug` is that of the query."))
            .gives(schemas.reply(apply::catalogue::put)),
        Endpoint::Summary => Outline::new("showSummary", REPORTS, "Show the sums of a tenant")
            .gives(schemas.reply(reads::reports::summary)),
        Endpoint::Customers => Outline::new("listCustomers", REPORTS, "List a tenant's customers")
            .says(
                "In order of their ids, each as `GET /v1/customers/{id}` shows it at some position while the page is made. Who \
                 comes between two pages may be missing.",
            )
            .gives(schemas.reply(reads::customers::list)),
        Endpoint::Costs => Outline::new("showCosts", REPORTS, "Show what the rules have cost")
            .says("As CSV with the same rows where `Accept` prefers `text/csv`.")
            .gives(
                schemas
                    .reply(reads::costs::show)
                    .content("text/csv", Content::new(Some(ObjectBuilder::new().schema_type(Type::String)))),
            ),
        Endpoint::Liability => Outline::new("showLiability", REPORTS, "Show what is owed to customers, rolled forward")
            .says("As CSV with a row for each unit where `Accept` prefers `text/csv`.")
            .gives(
                schemas
                    .reply(reads::liability::show)
                    .content("text/csv", Content::new(Some(ObjectBuilder::new().schema_type(Type::String)))),
            ),
        Endpoint::TrialBalance => Outline::new("showTrialBalance", REPORTS, "Show debits and credits of every account")
            .gives(schemas.reply(reads::reports::trial_balance)),
        Endpoint::WhatIf => what_if(schemas),
        Endpoint::Stream => stream(schemas),
        Endpoint::IngestSocket => {
            schemas.of::<IngestReady>();
            Outline::new("openIngest", PURCHASES, "Book purchases that come by WebSocket")
                .says(
                    "`IngestReady` comes first. Each text message of the client is a purchase, or an array of up to 1,000, and is \
                     answered by one message in the same order as soon as it is durable: what a stream answers to a line, or an array \
                     of that. What was not answered when the connection ends is sent again, and booked once. A key with a secret signs \
                     the handshake.",
                )
                .gives_as(101, ResponseBuilder::new().description("The connection is a WebSocket now."))
        }
        Endpoint::Events => Outline::new("listEvents", STREAM, "Show events of history, the oldest first")
            .says(
                "What the event stream sends as it happens. A page looks through a bounded part of the ledger, so it may have no \
                 event and a `next_cursor` all the same. Whoever asks again later goes on with `after=` the `as_of` of the last page.",
            )
            .gives(schemas.reply(feed::page)),
        Endpoint::Health => Outline::new("showHealth", SERVER, "Tell that the process is up")
            .gives(json(StatusCode::OK, schemas.of::<Health>())),
        Endpoint::Ready => Outline::new("showReadiness", SERVER, "Tell that the ledger answers")
            .gives(json(StatusCode::OK, schemas.of::<Health>())),
        Endpoint::PostSnapshot => Outline::new("takeSnapshot", SERVER, "Archive what is durable and take a snapshot")
            .says("Before a backup, an upgrade, or a restart that must be quick.")
            .gives(schemas.reply(snapshots::post)),
        Endpoint::System => Outline::new("showSystem", SERVER, "Show how the server is doing")
            .says("Of all tenants together. Measures are of the last 50 to 60 seconds; dry runs are in none.")
            .gives(schemas.reply(system::show)),
        Endpoint::VerifyArchive => Outline::new("verifyArchive", SERVER, "Check every byte of the archive")
            .says(
                "Begins, and answers at once; `GET /v1/system` says how far it is. The server checks itself slowly all the \
                 time; this does not wait. Damage stops the server, which names the file and the remedy.",
            )
            .gives_as(202, json(StatusCode::ACCEPTED, schemas.of::<VerificationShown>())),
        Endpoint::Problem => {
            Outline::new("explainProblem", SERVER, "Explain a problem code").gives(text("text/plain", "The page."))
        }
        Endpoint::OpenApi => Outline::new("showOpenApi", SERVER, "Describe this server as OpenAPI").gives(
            ResponseBuilder::new()
                .description("This document.")
                .content(JSON, Content::new(Some(ObjectBuilder::new().schema_type(Type::Object)))),
        ),
        Endpoint::AsyncApi => Outline::new("showAsyncApi", SERVER, "Describe the WebSockets of this server as AsyncAPI").gives(
            ResponseBuilder::new()
                .description("The document.")
                .content(JSON, Content::new(Some(ObjectBuilder::new().schema_type(Type::Object)))),
        ),
        Endpoint::Docs => web_page(Outline::new("showDocs", SERVER, "Show this description to people")),
        Endpoint::DocsFile => web_file(Outline::new("showDocsFile", SERVER, "A file of that page")),
        Endpoint::Dashboard => web_page(Outline::new("showDashboard", SERVER, "Show the dashboard")),
        Endpoint::DashboardFile => web_file(Outline::new("showDashboardFile", SERVER, "A file of the dashboard")),
    }
}

/// Describes what an operation that makes something answers.
fn operation(outline: Outline, schemas: &mut Schemas) -> Outline {
    let result = schemas.of::<OperationResult<'static>>();
    let unchanged = schemas.of::<OperationUnchanged>();
    let either = OneOfBuilder::new().item(result.clone()).item(unchanged);
    let once = ResponseBuilder::new().description("A dry run went well, or nothing was to be done.");
    let done = json(StatusCode::CREATED, result).description("It is done.");
    outline
        .gives(once.content(JSON, Content::new(Some(RefOr::<Schema>::from(either)))))
        .gives_as(201, done.header("Idempotency-Replayed", replayed()))
}

/// Describes what an operation that risk rules look at answers.
fn looked_at(outline: Outline, schemas: &mut Schemas) -> Outline {
    let result = schemas.of::<OperationResult<'static>>();
    let set_aside = json(StatusCode::ACCEPTED, result);
    let says = "A risk rule set it aside, and it has moved nothing: it waits for an operator. The same again under the same \
                key says what became of it.";
    operation(outline, schemas).gives_as(202, set_aside.description(says).header("Idempotency-Replayed", replayed()))
}

/// Describes what an operation that changes something answers.
fn change(outline: Outline, schemas: &mut Schemas) -> Outline {
    let result = schemas.of::<OperationResult<'static>>();
    let unchanged = schemas.of::<OperationUnchanged>();
    let either = OneOfBuilder::new().item(result).item(unchanged);
    let done =
        ResponseBuilder::new().description("It is done, or is so already.").header("Idempotency-Replayed", replayed());
    outline.gives(done.content(JSON, Content::new(Some(RefOr::<Schema>::from(either)))))
}

fn replayed() -> Header {
    let flag = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]));
    let says = "There when the same was answered before: the stored result, byte for byte.";
    HeaderBuilder::new().schema(Some(flag)).description(Some(says)).build()
}

/// A page of this server for people.
fn web_page(outline: Outline) -> Outline {
    known(outline, text("text/html", "The page."))
}

/// A file that such a page is made of.
fn web_file(outline: Outline) -> Outline {
    let content = || Content::new(Some(ObjectBuilder::new().schema_type(Type::String)));
    let said = ResponseBuilder::new().description("The file.");
    known(
        outline,
        ["text/javascript", "text/css", "image/svg+xml"]
            .into_iter()
            .fold(said, |said, media| said.content(media, content())),
    )
}

/// What is not sent to whoever has it already.
fn known(mut outline: Outline, reply: ResponseBuilder) -> Outline {
    let built = reply.build();
    let mut same = built.clone();
    "It is what `If-None-Match` names.".clone_into(&mut same.description);
    outline.replies.extend([(200, built), (304, same)]);
    outline
}

fn text(media: &str, says: &str) -> ResponseBuilder {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ResponseBuilder::new().description(says).content(media, Content::new(Some(schema)))
}

fn book_purchases(schemas: &mut Schemas) -> Outline {
    let (purchase, result) = (schemas.of::<PurchaseBody<'static>>(), schemas.of::<PurchaseResult<'static>>());
    let line = schemas.named("PurchaseLine", line(result.clone()));
    let mut body = schemas.body::<PurchaseBody<'static>>(
        "One purchase, or as `application/x-ndjson` many, one a line. Either may be sent with `Content-Encoding: gzip`.",
    );
    body.content.insert(NDJSON.to_owned(), RefOr::T(Content::new(Some(purchase))));
    let once = ResponseBuilder::new()
        .description("One purchase: a dry run went well. A stream: one line each, in order, as soon as it is durable.")
        .content(JSON, Content::new(Some(result.clone())))
        .content(NDJSON, Content::new(Some(line)));
    Outline::new("bookPurchases", PURCHASES, "Book one purchase, or a stream of them")
        .says(
            "`origin_id` is for ever: the same content again gets the stored result, other content is a conflict. A \
             refused purchase does not occupy it. A purchase that earns nothing is booked; `declined` says why. The \
             first fault in the order of the fields is the code.",
        )
        .takes(body)
        .gives(once)
        .gives_as(
            201,
            json(StatusCode::CREATED, result)
                .description("The purchase is booked.")
                .header("Idempotency-Replayed", replayed()),
        )
}

/// Describes a line of the answer to a stream, which is put together by hand so that a result's bytes stay its own.
fn line(result: Ref) -> RefOr<Schema> {
    let line = |status: ObjectBuilder, name: &str, schema: Ref| {
        ObjectBuilder::new()
            .property("status", status.schema_type(Type::Integer))
            .property("replayed", ObjectBuilder::new().schema_type(Type::Boolean))
            .property(name, schema)
            .required("status")
            .required("replayed")
            .required(name)
    };
    let booked = line(ObjectBuilder::new().enum_values(Some([201])), "result", result);
    let refused = line(ObjectBuilder::new().minimum(Some(400)), "problem", Ref::from_schema_name(PROBLEM));
    OneOfBuilder::new().description(Some("What became of one purchase of a stream.")).item(booked).item(refused).into()
}

fn export(schemas: &mut Schemas) -> Outline {
    let line = schemas.of::<ExportLine>();
    let lines = ResponseBuilder::new()
        .description("The customer, the wallets, each account, each record, the newest first, and the end.")
        .content(NDJSON, Content::new(Some(line)));
    Outline::new("exportCustomer", CUSTOMERS, "Export all that is kept of a customer")
        .says("For the customer. Without an `end` as its last line it was broken off.")
        .gives(lines)
}

fn what_if(schemas: &mut Schemas) -> Outline {
    let line = schemas.of::<WhatIfLine>();
    let lines = ResponseBuilder::new()
        .description("One line each of the progress, at least one, and the report as the last line.")
        .content(NDJSON, Content::new(Some(line)));
    Outline::new("whatIf", CATALOGUE, "Decide recorded purchases again under other rules")
        .says(
            "Nothing is changed. Rules that hold now keep their identity by name, as in a change of the catalogue; API \
             keys in the body are not looked at. Refused purchases are not decided again: what was bought is not kept. \
             One runs at a time; it is given up when its caller leaves. Without a report at its end it was broken off.",
        )
        .takes(schemas.body::<CatalogueFile>("All rules; `tenant.slug` is that of the query."))
        .gives(lines)
}

fn stream(schemas: &mut Schemas) -> Outline {
    let (events, control) = (schemas.of::<Frame<'static>>(), schemas.of::<ControlMessage>());
    let message =
        OneOfBuilder::new().description(Some("A text message of the event stream.")).item(events).item(control);
    let messages = schemas.named("StreamMessage", message);
    Outline::new("openStream", STREAM, "Send events as they happen, by WebSocket or as an event source")
        .says(
            "With `Upgrade: websocket` the connection becomes a WebSocket; with `Accept: text/event-stream` the answer does not end. \
             Each message is a `StreamMessage`: `ready` first, then an `ev` for each record, or for each `batch` of them. By \
             WebSocket `{\"op\":\"ping\"}` is answered with `pong`. A subscriber that is too slow gets `lag` and is closed, by \
             WebSocket with 4008; it goes on with `after=`, or `Last-Event-ID`, the last `seq` that it saw. With `gauges` the sums of \
             the tenant come as `gauge`. A partner gets its own: \
             what it asked for, its holds, its invoices, and what becomes of them; a customer what is its own; an operator all of \
             the tenant.",
        )
        .gives_as(101, ResponseBuilder::new().description("The connection is a WebSocket now."))
        .gives_as(
            200,
            ResponseBuilder::new()
                .description("An event source: each message is a `StreamMessage`, and its id the position to go on from with `Last-Event-ID`.")
                .content("text/event-stream", Content::new(Some(messages))),
        )
}
