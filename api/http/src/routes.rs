//! The one table of routes: path, method, and the role that a caller must have. Who serves a route is said here too.
//!
//! A path that is not in the table does not exist: everything is matched against it before anything else happens.

use hyper::Method;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Anybody.
    Public,
    /// A partner with its API key.
    Partner,
    /// An operator or an admin of the tenant, or whoever holds the server's token.
    Operator,
    /// An admin of the tenant, or whoever holds the server's token.
    Admin,
    /// Whoever holds the server's token: what is of no tenant.
    Platform,
    /// Whoever has an account, for that account.
    Person,
    /// A partner, for what is its own and the present state of its tenant's customers, or an operator.
    PartnerOrOperator,
    /// A partner, for what is its own, or an admin.
    PartnerOrAdmin,
    /// A customer, for what is its own, or an operator.
    CustomerOrOperator,
    /// A partner, a customer, each for what is its own, or an operator.
    Anyone,
}

impl Role {
    /// Returns true where partners may call.
    #[must_use]
    pub const fn takes_partners(self) -> bool {
        matches!(self, Role::Partner | Role::PartnerOrOperator | Role::PartnerOrAdmin | Role::Anyone)
    }

    /// Returns true where customers may call.
    #[must_use]
    pub const fn takes_customers(self) -> bool {
        matches!(self, Role::Person | Role::CustomerOrOperator | Role::Anyone)
    }

    /// Returns true where operators, or some of them, may call.
    #[must_use]
    pub const fn takes_operators(self) -> bool {
        !matches!(self, Role::Public | Role::Partner)
    }
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Books purchases.
    BookPurchases,
    /// The process is up.
    Health,
    /// The ledger answers.
    Ready,
    /// Explains a problem code.
    Problem,
    /// Describes this server as OpenAPI.
    OpenApi,
    /// Describes the WebSockets as AsyncAPI.
    AsyncApi,
    /// Shows that description to people.
    Docs,
    /// A file of that page.
    DocsFile,
    /// Shows the dashboard.
    Dashboard,
    /// A file of the dashboard.
    DashboardFile,
    /// Finds a customer by a name.
    FindCustomer,
    /// Creates a customer.
    PostCustomer,
    /// Opens a wallet.
    PostWallet,
    /// Renames a wallet, freezes it, or makes it active again.
    PatchWallet,
    /// Closes a wallet.
    DeleteWallet,
    /// Forgets who a customer is.
    EraseCustomer,
    /// Gives all that is kept of a customer.
    ExportCustomer,
    /// Puts money into a wallet.
    PostDeposit,
    /// Puts a wallet right by hand.
    PostAdjustment,
    /// Counts something that a customer did.
    PostActivity,
    /// Spends a customer's points on an offer.
    PostRedemption,
    /// Sets money of a wallet aside for a partner.
    PostHold,
    /// Pays a partner what was set aside.
    SettleHold,
    /// Gives free what was set aside.
    VoidHold,
    /// Lists a customer's open holds.
    Holds,
    /// Sends money to another wallet.
    PostTransfer,
    /// Opens an invoice.
    PostInvoice,
    /// Takes an invoice back.
    CancelInvoice,
    /// Shows an invoice.
    Invoice,
    /// Pays an invoice out of a wallet.
    PostPayment,
    /// Lists the checks of risk rules.
    RiskChecks,
    /// Lists payments, as they moved from state to state.
    Payments,
    /// Lists what points may be spent on.
    Offers,
    /// Moves a customer one level up.
    Promote,
    /// Moves a customer one level down.
    Demote,
    /// Takes a purchase back, in whole or in part.
    PostRefund,
    /// Takes an operation back.
    Reverse,
    /// Archives a check of risk rules.
    ArchiveRiskCheck,
    /// Lists what is set aside.
    Reviews,
    /// Does what was set aside.
    ReleaseReview,
    /// Refuses what was set aside.
    RejectReview,
    /// Shows an operation.
    Operation,
    /// Shows a customer.
    Customer,
    /// Shows a customer's wallets.
    Wallets,
    /// Shows where a customer stands, and stood.
    Tiers,
    /// Lists a customer's entries.
    Entries,
    /// Lists a customer's purchases.
    CustomerPurchases,
    /// Shows a customer's statement.
    Statement,
    /// Shows a purchase.
    Purchase,
    /// Says what each rule did for a purchase, and why not more.
    ExplainPurchase,
    /// Lists promos.
    Promos,
    /// Shows a promo.
    Promo,
    /// Creates or replaces a promo.
    PutPromo,
    /// Changes parts of a promo.
    PatchPromo,
    /// Lists tier programmes.
    TierPrograms,
    /// Creates or replaces a tier programme.
    PutTierProgram,
    /// Lists partners.
    Partners,
    /// Creates a partner.
    PostPartner,
    /// Suspends a partner, opens it again, or gives it limits of its own.
    PatchPartner,
    /// Lists a partner's API keys.
    ApiKeys,
    /// Gives a partner one more API key.
    PostApiKey,
    /// Revokes an API key.
    DeleteApiKey,
    /// Shows the rules.
    Catalogue,
    /// Makes rules the next version.
    PutCatalogue,
    /// Lists a tenant's customers.
    Customers,
    /// Shows the sums of a tenant.
    Summary,
    /// Shows what the rules of a tenant have cost.
    Costs,
    /// Shows what is owed to customers, rolled forward.
    Liability,
    /// Shows debits and credits of a tenant.
    TrialBalance,
    /// Decides recorded purchases again under other rules.
    WhatIf,
    /// Registers a customer.
    Register,
    /// Logs in.
    Login,
    /// Goes on with a session.
    Refresh,
    /// Ends a session.
    Logout,
    /// Changes the own password.
    ChangePassword,
    /// Shows the own account.
    Me,
    /// Shows the public keys of tokens.
    PublicKeys,
    /// Finds an account by its username.
    FindAccount,
    /// Creates an account.
    PostAccount,
    /// Shows an account.
    Account,
    /// Changes an account.
    PatchAccount,
    /// Makes tokens be signed with another key.
    RotateSigningKey,
    /// Lists what administrators did.
    Audit,
    /// Archives what is durable and takes a snapshot of it.
    PostSnapshot,
    /// Shows how the server is doing.
    System,
    /// Begins to check every byte of the archive.
    VerifyArchive,
    /// Books purchases that come by WebSocket.
    IngestSocket,
    /// Sends events as they happen, by WebSocket or as an event source.
    Stream,
    /// Shows events of history, page by page.
    Events,
    /// Lists webhooks.
    Webhooks,
    /// Creates a webhook.
    PostWebhook,
    /// Shows a webhook, and how far it is.
    Webhook,
    /// Changes a webhook, or whether it sends.
    PatchWebhook,
    /// Deletes a webhook.
    DeleteWebhook,
    /// Makes a webhook sign with another secret.
    RotateWebhookSecret,
    /// Tries a webhook out.
    TestWebhook,
    /// Lists what became of a webhook's deliveries.
    WebhookDeliveries,
    /// Has one delivery made again.
    ReplayDelivery,
    /// Has all deliveries made again that were given up.
    ReplayDeliveries,
    /// Shows how far mail is.
    Mail,
    /// Lists what became of mail.
    MailDeliveries,
    /// Has one mail sent again.
    ReplayMail,
    /// Has all mail sent again that was given up.
    ReplayMails,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The path; a segment in braces stands for any text.
    pub path: &'static str,
    /// The method.
    pub method: Method,
    /// Who may call it.
    pub role: Role,
    /// What it does.
    pub endpoint: Endpoint,
}

const fn route(method: Method, path: &'static str, role: Role, endpoint: Endpoint) -> Route {
    Route { path, method, role, endpoint }
}

use Role::{
    Admin, Anyone, CustomerOrOperator, Operator, Partner, PartnerOrAdmin, PartnerOrOperator, Person, Platform, Public,
};

/// Every route, the busiest first.
pub static ROUTES: &[Route] = &[
    route(Method::POST, "/v1/purchases", Partner, Endpoint::BookPurchases),
    route(Method::GET, "/healthz", Public, Endpoint::Health),
    route(Method::GET, "/readyz", Public, Endpoint::Ready),
    route(Method::GET, "/problems/{code}", Public, Endpoint::Problem),
    route(Method::GET, "/openapi.json", Public, Endpoint::OpenApi),
    route(Method::GET, "/asyncapi.json", Public, Endpoint::AsyncApi),
    route(Method::GET, "/docs", Public, Endpoint::Docs),
    route(Method::GET, "/docs/{file}", Public, Endpoint::DocsFile),
    route(Method::GET, "/", Public, Endpoint::Dashboard),
    route(Method::GET, "/dashboard/{file}", Public, Endpoint::DashboardFile),
    route(Method::GET, "/v1/customers", PartnerOrOperator, Endpoint::FindCustomer),
    route(Method::POST, "/v1/customers", PartnerOrOperator, Endpoint::PostCustomer),
    route(Method::POST, "/v1/customers/{id}/wallets", CustomerOrOperator, Endpoint::PostWallet),
    route(Method::PATCH, "/v1/customers/{id}/wallets/{wallet}", Operator, Endpoint::PatchWallet),
    route(Method::DELETE, "/v1/customers/{id}/wallets/{wallet}", CustomerOrOperator, Endpoint::DeleteWallet),
    route(Method::POST, "/v1/customers/{id}/wallets/{wallet}/deposits", Operator, Endpoint::PostDeposit),
    route(Method::POST, "/v1/customers/{id}/wallets/{wallet}/adjustments", Operator, Endpoint::PostAdjustment),
    route(Method::POST, "/v1/customers/{id}/activities", PartnerOrOperator, Endpoint::PostActivity),
    route(Method::POST, "/v1/customers/{id}/redemptions", Anyone, Endpoint::PostRedemption),
    route(Method::POST, "/v1/customers/{id}/wallets/{wallet}/holds", Partner, Endpoint::PostHold),
    route(Method::POST, "/v1/customers/{id}/holds/{hold}/settle", PartnerOrOperator, Endpoint::SettleHold),
    route(Method::POST, "/v1/customers/{id}/holds/{hold}/void", PartnerOrOperator, Endpoint::VoidHold),
    route(Method::GET, "/v1/customers/{id}/holds", Anyone, Endpoint::Holds),
    route(Method::POST, "/v1/customers/{id}/wallets/{wallet}/transfers", CustomerOrOperator, Endpoint::PostTransfer),
    route(Method::POST, "/v1/invoices", Partner, Endpoint::PostInvoice),
    route(Method::GET, "/v1/invoices/{number}", PartnerOrOperator, Endpoint::Invoice),
    route(Method::POST, "/v1/invoices/{number}/cancel", PartnerOrOperator, Endpoint::CancelInvoice),
    route(Method::POST, "/v1/customers/{id}/wallets/{wallet}/payments", CustomerOrOperator, Endpoint::PostPayment),
    route(Method::GET, "/v1/payments", Operator, Endpoint::Payments),
    route(Method::GET, "/v1/risk-checks", Operator, Endpoint::RiskChecks),
    route(Method::POST, "/v1/risk-checks/{seq}/archive", Operator, Endpoint::ArchiveRiskCheck),
    route(Method::GET, "/v1/offers", Anyone, Endpoint::Offers),
    route(Method::POST, "/v1/customers/{id}/tiers/{program}/promote", Operator, Endpoint::Promote),
    route(Method::POST, "/v1/customers/{id}/tiers/{program}/demote", Operator, Endpoint::Demote),
    route(Method::POST, "/v1/refunds", PartnerOrOperator, Endpoint::PostRefund),
    route(Method::GET, "/v1/operations/{seq}", Anyone, Endpoint::Operation),
    route(Method::POST, "/v1/operations/{seq}/reverse", Operator, Endpoint::Reverse),
    route(Method::GET, "/v1/reviews", Operator, Endpoint::Reviews),
    route(Method::POST, "/v1/reviews/{seq}/release", Operator, Endpoint::ReleaseReview),
    route(Method::POST, "/v1/reviews/{seq}/reject", Operator, Endpoint::RejectReview),
    route(Method::GET, "/v1/customers/{id}", Anyone, Endpoint::Customer),
    route(Method::GET, "/v1/customers/{id}/wallets", Anyone, Endpoint::Wallets),
    route(Method::GET, "/v1/customers/{id}/tiers", Anyone, Endpoint::Tiers),
    route(Method::GET, "/v1/customers/{id}/entries", CustomerOrOperator, Endpoint::Entries),
    route(Method::GET, "/v1/customers/{id}/purchases", CustomerOrOperator, Endpoint::CustomerPurchases),
    route(Method::GET, "/v1/customers/{id}/statement", CustomerOrOperator, Endpoint::Statement),
    route(Method::GET, "/v1/customers/{id}/export", CustomerOrOperator, Endpoint::ExportCustomer),
    route(Method::POST, "/v1/customers/{id}/erase", Admin, Endpoint::EraseCustomer),
    // Before the ids: `stream` is none.
    route(Method::GET, "/v1/purchases/stream", Partner, Endpoint::IngestSocket),
    route(Method::GET, "/v1/purchases/{id}", Anyone, Endpoint::Purchase),
    route(Method::GET, "/v1/purchases/{id}/explain", Operator, Endpoint::ExplainPurchase),
    route(Method::GET, "/v1/promos", PartnerOrOperator, Endpoint::Promos),
    route(Method::GET, "/v1/promos/{code}", PartnerOrOperator, Endpoint::Promo),
    route(Method::PUT, "/v1/promos/{code}", Admin, Endpoint::PutPromo),
    route(Method::PATCH, "/v1/promos/{code}", Admin, Endpoint::PatchPromo),
    route(Method::GET, "/v1/tier-programs", Operator, Endpoint::TierPrograms),
    route(Method::PUT, "/v1/tier-programs/{name}", Admin, Endpoint::PutTierProgram),
    route(Method::GET, "/v1/partners", Operator, Endpoint::Partners),
    route(Method::POST, "/v1/partners", Admin, Endpoint::PostPartner),
    route(Method::PATCH, "/v1/partners/{slug}", Admin, Endpoint::PatchPartner),
    route(Method::GET, "/v1/partners/{slug}/api-keys", Operator, Endpoint::ApiKeys),
    route(Method::POST, "/v1/partners/{slug}/api-keys", Admin, Endpoint::PostApiKey),
    route(Method::DELETE, "/v1/partners/{slug}/api-keys/{id}", Admin, Endpoint::DeleteApiKey),
    route(Method::GET, "/v1/catalogue", Operator, Endpoint::Catalogue),
    route(Method::PUT, "/v1/catalogue", Admin, Endpoint::PutCatalogue),
    route(Method::GET, "/v1/reports/summary", Operator, Endpoint::Summary),
    route(Method::GET, "/v1/reports/customers", Operator, Endpoint::Customers),
    route(Method::GET, "/v1/reports/costs", Operator, Endpoint::Costs),
    route(Method::GET, "/v1/reports/liability", Operator, Endpoint::Liability),
    route(Method::GET, "/v1/trial-balance", Operator, Endpoint::TrialBalance),
    route(Method::POST, "/v1/what-if", Operator, Endpoint::WhatIf),
    route(Method::POST, "/v1/auth/register", Public, Endpoint::Register),
    route(Method::POST, "/v1/auth/login", Public, Endpoint::Login),
    route(Method::POST, "/v1/auth/refresh", Public, Endpoint::Refresh),
    route(Method::POST, "/v1/auth/logout", Person, Endpoint::Logout),
    route(Method::PUT, "/v1/auth/password", Person, Endpoint::ChangePassword),
    route(Method::GET, "/v1/auth/me", Person, Endpoint::Me),
    route(Method::GET, "/.well-known/jwks.json", Public, Endpoint::PublicKeys),
    route(Method::GET, "/v1/accounts", Operator, Endpoint::FindAccount),
    route(Method::POST, "/v1/accounts", Admin, Endpoint::PostAccount),
    route(Method::GET, "/v1/accounts/{id}", Operator, Endpoint::Account),
    route(Method::PATCH, "/v1/accounts/{id}", Admin, Endpoint::PatchAccount),
    route(Method::POST, "/v1/signing-keys", Platform, Endpoint::RotateSigningKey),
    route(Method::GET, "/v1/audit", Operator, Endpoint::Audit),
    route(Method::POST, "/v1/snapshots", Platform, Endpoint::PostSnapshot),
    route(Method::GET, "/v1/system", Operator, Endpoint::System),
    route(Method::POST, "/v1/system/verification", Admin, Endpoint::VerifyArchive),
    route(Method::GET, "/v1/stream", Anyone, Endpoint::Stream),
    route(Method::GET, "/v1/events", Anyone, Endpoint::Events),
    route(Method::GET, "/v1/webhooks", PartnerOrOperator, Endpoint::Webhooks),
    route(Method::POST, "/v1/webhooks", PartnerOrAdmin, Endpoint::PostWebhook),
    route(Method::GET, "/v1/webhooks/{id}", PartnerOrOperator, Endpoint::Webhook),
    route(Method::PATCH, "/v1/webhooks/{id}", PartnerOrAdmin, Endpoint::PatchWebhook),
    route(Method::DELETE, "/v1/webhooks/{id}", PartnerOrAdmin, Endpoint::DeleteWebhook),
    route(Method::POST, "/v1/webhooks/{id}/secret", PartnerOrAdmin, Endpoint::RotateWebhookSecret),
    route(Method::POST, "/v1/webhooks/{id}/test", PartnerOrOperator, Endpoint::TestWebhook),
    route(Method::GET, "/v1/webhooks/{id}/deliveries", PartnerOrOperator, Endpoint::WebhookDeliveries),
    route(Method::POST, "/v1/webhooks/{id}/deliveries/{seq}/replay", PartnerOrOperator, Endpoint::ReplayDelivery),
    route(Method::POST, "/v1/webhooks/{id}/replay", PartnerOrOperator, Endpoint::ReplayDeliveries),
    route(Method::GET, "/v1/mail", Operator, Endpoint::Mail),
    route(Method::GET, "/v1/mail/deliveries", Operator, Endpoint::MailDeliveries),
    route(Method::POST, "/v1/mail/deliveries/{seq}/replay", Operator, Endpoint::ReplayMail),
    route(Method::POST, "/v1/mail/replay", Operator, Endpoint::ReplayMails),
];

/// What a path and a method lead to.
#[derive(Debug)]
pub(crate) enum Found {
    Route(&'static Route),
    /// The path exists for other methods, which are named here for the `Allow` header.
    OtherMethods(String),
    Nothing,
}

/// Looks a request up. `HEAD` goes where `GET` goes.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed: Vec<&str> = Vec::new();
    for route in ROUTES.iter().filter(|route| matches(route.path, path)) {
        if route.method == *method {
            return Found::Route(route);
        }
        allowed.push(route.method.as_str());
    }
    if allowed.is_empty() { Found::Nothing } else { Found::OtherMethods(allowed.join(", ")) }
}

fn matches(pattern: &str, path: &str) -> bool {
    if !pattern.contains('{') {
        return pattern == path;
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => (),
            (Some(wanted), Some(given)) if wanted == given => (),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_what_describes_the_server_and_how_to_get_in_are_open_to_anybody() {
        let open: Vec<&str> = ROUTES.iter().filter(|route| route.role == Public).map(|route| route.path).collect();
        assert_eq!(
            open,
            [
                "/healthz",
                "/readyz",
                "/problems/{code}",
                "/openapi.json",
                "/asyncapi.json",
                "/docs",
                "/docs/{file}",
                "/",
                "/dashboard/{file}",
                "/v1/auth/register",
                "/v1/auth/login",
                "/v1/auth/refresh",
                "/.well-known/jwks.json",
            ]
        );
    }

    #[test]
    fn what_changes_something_is_for_whom_it_says_here() {
        for route in ROUTES.iter().filter(|route| route.method != Method::GET) {
            let expected = match route.endpoint {
                Endpoint::BookPurchases | Endpoint::PostHold | Endpoint::PostInvoice => Partner,
                Endpoint::PostCustomer
                | Endpoint::PostRefund
                | Endpoint::PostActivity
                | Endpoint::SettleHold
                | Endpoint::VoidHold
                | Endpoint::CancelInvoice
                | Endpoint::TestWebhook
                | Endpoint::ReplayDelivery
                | Endpoint::ReplayDeliveries => PartnerOrOperator,
                // What leaves the server, and where to.
                Endpoint::PostWebhook
                | Endpoint::PatchWebhook
                | Endpoint::DeleteWebhook
                | Endpoint::RotateWebhookSecret => PartnerOrAdmin,
                // What a customer does with what is its own.
                Endpoint::PostRedemption => Anyone,
                Endpoint::PostWallet | Endpoint::DeleteWallet | Endpoint::PostTransfer | Endpoint::PostPayment => {
                    CustomerOrOperator
                }
                Endpoint::Register | Endpoint::Login | Endpoint::Refresh => Public,
                Endpoint::Logout | Endpoint::ChangePassword => Person,
                // Rules, partners, keys, accounts, and what cannot be undone.
                Endpoint::PutCatalogue
                | Endpoint::PutPromo
                | Endpoint::PatchPromo
                | Endpoint::PutTierProgram
                | Endpoint::PostPartner
                | Endpoint::PatchPartner
                | Endpoint::PostApiKey
                | Endpoint::DeleteApiKey
                | Endpoint::PostAccount
                | Endpoint::PatchAccount
                // It reads the disk as fast as it can, of all tenants.
                | Endpoint::VerifyArchive
                | Endpoint::EraseCustomer => Admin,
                // What is of no tenant.
                Endpoint::PostSnapshot | Endpoint::RotateSigningKey => Platform,
                _ => Operator,
            };
            assert_eq!(route.role, expected, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn no_two_routes_are_one_and_each_finds_itself() {
        for (index, route) in ROUTES.iter().enumerate() {
            let twin = |other: &Route| other.method == route.method && other.path == route.path;
            assert!(!ROUTES[..index].iter().any(twin), "{} {}", route.method, route.path);
            let path = route.path.replace(['{', '}'], "");
            let Found::Route(found) = find(&route.method, &path) else { panic!("{path} is not found") };
            assert_eq!(found.endpoint, route.endpoint);
        }
    }

    #[test]
    fn other_paths_and_methods() {
        for path in [
            "//",
            "",
            "/v1",
            "/dashboard/",
            "/v1/purchases/",
            "/v1/customers//tiers",
            "/v1/promos/a/b",
            "/V1/purchases",
        ] {
            assert!(matches!(find(&Method::GET, path), Found::Nothing), "{path}");
        }
        let Found::OtherMethods(allow) = find(&Method::DELETE, "/v1/promos/X") else { panic!("not found") };
        assert_eq!(allow, "GET, PUT, PATCH");
        assert!(matches!(find(&Method::HEAD, "/healthz"), Found::Route(_)));
    }
}
