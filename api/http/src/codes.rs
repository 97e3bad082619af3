//! The one registry of problem codes: what each means, its status, and what the caller can do about it.
//!
//! Codes are for ever; a new meaning is a new code. How a problem is written out is the business of `problem`.

use kembali_core::RejectionCode;
use kembali_core::operation::OperationRejection;
use kembali_core::refund::RefundRejection;
use kembali_core::transfer::TransferRefusal;

/// One code.
#[derive(Debug)]
pub struct Code {
    /// What callers see.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words that never change.
    pub title: &'static str,
    /// True when the same request can succeed later without a change.
    pub retryable: bool,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! registry {
    ($($name:ident $status:literal $code:literal $retryable:ident $title:literal $remedy:literal)*) => {
        $(
            pub(crate) static $name: Code = Code {
                code: $code,
                status: $status,
                title: $title,
                retryable: registry!(@ $retryable),
                remedy: $remedy,
            };
        )*
        /// Every code.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
    (@ retry) => { true };
    (@ final) => { false };
}

registry! {
    // The request cannot be read.
    MALFORMED_JSON 400 "malformed_json" final "The body is not JSON"
        "Send one JSON document in UTF-8."
    FIELD_MISSING 400 "field_missing" final "A required field is missing"
        "Send the field that `pointer` names."
    FIELD_UNKNOWN 400 "field_unknown" final "A field is not known here"
        "Leave out the field that `pointer` names, or correct its spelling."
    FIELD_INVALID 400 "field_invalid" final "A field has the wrong type or form"
        "Correct the field that `pointer` names as `detail` says."
    ORIGIN_ID_INVALID 400 "origin_id_invalid" final "The origin id is not usable"
        "Send 1 to 128 characters without control characters."
    REFUND_ID_INVALID 400 "refund_id_invalid" final "The refund id is not usable"
        "Send 1 to 128 characters without control characters."
    CUSTOMER_INVALID 400 "customer_invalid" final "The customer is not named properly"
        "Name the customer by exactly one of `id` (a UUID), `email` and `ref` (1 to 128 characters)."
    QUERY_INVALID 400 "query_invalid" final "A query parameter is unknown, missing or malformed"
        "Correct the parameter that `parameter` names."
    PATH_INVALID 400 "path_invalid" final "The path cannot be read"
        "Send a path whose percent-encoded parts are UTF-8."
    CURSOR_INVALID 400 "cursor_invalid" final "The cursor does not belong to this list"
        "Take the cursor from `next_cursor` of the same list, or start without one."
    IDEMPOTENCY_KEY_MISSING 400 "idempotency_key_missing" final "The request has no Idempotency-Key"
        "Send a header `Idempotency-Key` with a text that names this request and no other, such as a UUID."
    IDEMPOTENCY_KEY_INVALID 400 "idempotency_key_invalid" final "The Idempotency-Key is not usable"
        "Send one header with 1 to 255 visible characters, in quotation marks or without."
    DRY_RUN_ON_STREAM 400 "dry_run_on_stream" final "A stream cannot be a dry run"
        "Send single purchases with `?dry_run=true`, or ask what-if."
    CONTENT_ENCODING_INVALID 400 "content_encoding_invalid" final "The compressed body is damaged"
        "Send a whole gzip stream."
    BODY_INCOMPLETE 400 "body_incomplete" final "The body ended too early"
        "Send the whole body."
    REQUEST_TIMEOUT 408 "request_timeout" retry "The body took too long"
        "Send the body without long pauses."
    BODY_TOO_LARGE 413 "body_too_large" final "The body is too large"
        "Send less, or a stream of lines."
    LINE_TOO_LARGE 413 "line_too_large" final "A line of the stream is too large"
        "Send at most 1 MiB a line."
    BLANK_LINES_TOO_MANY 400 "blank_lines_too_many" final "Too many blank lines follow each other"
        "Send at most `bytes_max` bytes of blank lines in a row."
    MEDIA_TYPE_UNSUPPORTED 415 "media_type_unsupported" final "The media type is not supported here"
        "Send `application/json`, or `application/x-ndjson` where a stream is taken."
    CONTENT_ENCODING_UNSUPPORTED 415 "content_encoding_unsupported" final "The content encoding is not supported"
        "Send the body as it is, or with `Content-Encoding: gzip`."

    WEBSOCKET_HANDSHAKE_INVALID 400 "websocket_handshake_invalid" final "The WebSocket handshake is malformed"
        "Correct the handshake as `detail` says."
    OPERATION_UNKNOWN 400 "operation_unknown" final "The message is no operation of the stream"
        "Send a text message of one JSON object whose `op` is `ping`, or nothing."
    UPGRADE_REQUIRED 426 "upgrade_required" final "This route speaks WebSocket or sends an event source"
        "Send a WebSocket handshake, `Connection: Upgrade` and `Upgrade: websocket`, or `Accept: text/event-stream`."
    WEBSOCKET_VERSION_UNSUPPORTED 426 "websocket_version_unsupported" final "This version of WebSocket is not spoken here"
        "Send `Sec-WebSocket-Version: 13`."

    // The caller.
    API_KEY_MISSING 401 "api_key_missing" final "No API key was sent"
        "Send the partner's key in `X-Api-Key`."
    SIGNATURE_MISSING 401 "signature_missing" final "Requests of this API key must be signed"
        "Send `X-Timestamp` and `X-Signature`: see the scheme of API keys in the description of the server."
    SIGNATURE_INVALID 401 "signature_invalid" final "The signature is not that of this request"
        "Sign the method, the path with its query, the timestamp, the SHA-256 of the body as sent and the idempotency key, if there is one, a line each."
    SIGNATURE_UNEXPECTED 401 "signature_unexpected" final "This API key has no secret, so nobody checks the signature"
        "Leave out `X-Signature`, or have an operator give a key with a secret."
    SIGNATURE_REPLAYED 401 "signature_replayed" final "This signature was used before"
        "Sign each request anew. Two that are alike and of one second differ by decimals of `X-Timestamp`, of which there may be nine."
    TIMESTAMP_OFF 401 "timestamp_off" final "The request was not signed about now"
        "Set the clock and sign again: `X-Timestamp` is in seconds and at most `window_seconds` from `server_time`."
    API_KEY_UNKNOWN 401 "api_key_unknown" final "The API key belongs to nobody"
        "Check the key, or have an operator give a new one."
    OPERATOR_TOKEN_MISSING 401 "operator_token_missing" final "No operator token was sent"
        "Send `Authorization: Bearer <token>`."
    OPERATOR_TOKEN_UNKNOWN 401 "operator_token_unknown" final "The operator token is wrong"
        "Check the token that the server was started with."
    CREDENTIALS_MISSING 401 "credentials_missing" final "No credentials were sent"
        "Send a partner's key in `X-Api-Key`, or `Authorization: Bearer <token>`."
    OPERATOR_ACCESS_DISABLED 403 "operator_access_disabled" final "This server has no operator token"
        "Log in and send that access token, or start the server with an operator token."
    PARTNER_SUSPENDED 403 "partner_suspended" final "The partner is suspended"
        "Nothing was done. Ask whoever runs the programme; send it again with the same ids once the partner is open."
    LOGIN_FAILED 401 "login_failed" final "Username or password is wrong"
        "Check both, and the tenant. Too many tries are slowed down."
    TOKEN_INVALID 401 "token_invalid" final "The access token is not one of this server"
        "Log in, and send `access_token` as it is: `Authorization: Bearer <token>`."
    TOKEN_EXPIRED 401 "token_expired" final "The access token is over"
        "Send the refresh token to `POST /v1/auth/refresh`, and go on with the new access token."
    SESSION_ENDED 401 "session_ended" final "The session was ended"
        "Log in again. A log-out, a changed password, and a refresh token that was shown twice end a session."
    REFRESH_INVALID 401 "refresh_invalid" final "The refresh token opens no session"
        "Log in again."
    REFRESH_REUSED 401 "refresh_reused" final "The refresh token was used before"
        "Somebody else may have it, so the session is ended. Log in again; change the password if it was not you."
    ACCOUNT_SUSPENDED 403 "account_suspended" final "The account is suspended"
        "Ask whoever runs the programme."
    PEOPLE_DISABLED 403 "people_disabled" final "This server keeps no accounts"
        "Start the server with a secrets_key."
    REGISTRATION_CLOSED 403 "registration_closed" final "Nobody can register in this tenant"
        "Ask whoever runs the programme for an account."
    ROLE_INSUFFICIENT 403 "role_insufficient" final "These credentials do not open this route"
        "Use credentials of the role that the route asks for."

    // Nothing there.
    ROUTE_UNKNOWN 404 "route_unknown" final "There is no such route"
        "Check the path."
    METHOD_NOT_ALLOWED 405 "method_not_allowed" final "The route does not take this method"
        "Use a method that the `Allow` header names."
    TENANT_NOT_FOUND 404 "tenant_not_found" final "There is no such tenant"
        "Check the slug, or apply a catalogue that creates the tenant."
    WALLET_NOT_FOUND 404 "wallet_not_found" final "The customer has no such wallet"
        "Take a number from the customer's wallets."
    HOLD_NOT_FOUND 404 "hold_not_found" final "The customer has no such hold"
        "Take a number from the customer's holds; a partner sees its own."
    INVOICE_NOT_FOUND 404 "invoice_not_found" final "The tenant has no such invoice"
        "Check the number; a partner sees its own."
    OPERATION_NOT_FOUND 404 "operation_not_found" final "There is no such operation"
        "Take the `seq` of an operation's result."
    TIER_PROGRAM_NOT_FOUND 404 "tier_program_not_found" final "The tenant has no such tier programme"
        "Take a name from the tenant's tier programmes."
    OFFER_NOT_FOUND 404 "offer_not_found" final "The tenant has no such offer"
        "Take a name from the tenant's offers."
    CUSTOMER_NOT_FOUND 404 "customer_not_found" final "There is no such customer"
        "Check the name; a customer exists from the first booked purchase on."
    PURCHASE_NOT_FOUND 404 "purchase_not_found" final "There is no such purchase"
        "Check the id; a refused purchase is not booked."
    PROMO_NOT_FOUND 404 "promo_not_found" final "There is no such promo"
        "Check the code; it is exact."
    VERSION_NOT_FOUND 404 "version_not_found" final "There is no such version of the catalogue"
        "Ask for a version from 1 to the present one."
    PARTNER_NOT_FOUND 404 "partner_not_found" final "There is no such partner"
        "Check the slug; the tenant's partners are listed at `/v1/partners`."
    API_KEY_NOT_FOUND 404 "api_key_not_found" final "The partner has no such API key"
        "Take the id from the partner's list of keys."
    WEBHOOK_NOT_FOUND 404 "webhook_not_found" final "There is no such webhook"
        "Take the id from the list of webhooks."
    DELIVERY_NOT_FOUND 404 "delivery_not_found" final "There is no such delivery"
        "Name the position of a record that was looked at already, and that says something."
    MAIL_DISABLED 404 "mail_disabled" final "The tenant's customers get no mail"
        "Start the server with the tenant among its `mail_tenants`."
    CODE_NOT_FOUND 404 "code_not_found" final "There is no such problem code"
        "Take the code from a problem document."

    // It contradicts what is there.
    REFUND_ID_CONFLICT 409 "refund_id_conflict" final "The purchase has another refund of this id"
        "Send the same content as before, or a new refund id."
    ORIGIN_ID_CONFLICT 409 "origin_id_conflict" final "The origin id is booked with other content"
        "Send the same content as before, or a new origin id."
    VERSION_CONFLICT 409 "version_conflict" retry "The catalogue has changed since"
        "Read the catalogue again, then send the change with its version."
    API_KEY_TAKEN 409 "api_key_taken" final "The API key belongs to another partner"
        "Choose another key, or let the server make one."
    API_KEY_EXISTS 409 "api_key_exists" final "The partner has this API key already, with another secret or without one"
        "A secret is shown once, and a key does not change: give another key, and revoke this one."
    API_KEY_REVOKED 409 "api_key_revoked" final "The API key was revoked"
        "Choose another key, or let the server make one; take the revoked one out of the catalogue file."
    PARTNER_EXISTS 409 "partner_exists" final "There is a partner of this slug already"
        "Choose another slug."
    WEBHOOKS_TOO_MANY 409 "webhooks_too_many" final "There is no room for one more webhook"
        "Delete one that is not needed any more, or let one send more topics."
    WEBHOOK_DISABLED 409 "webhook_disabled" final "The webhook sends nothing at present"
        "Enable it first: what happened meanwhile is sent then."
    WEBHOOK_SEALED 409 "webhook_sealed" final "The secret of the webhook cannot be opened"
        "Start the server with the `secrets_key` that it was sealed under, or give the webhook another secret."
    VERIFICATION_RUNNING 409 "verification_running" retry "The archive is being checked already"
        "Look at `GET /v1/system` until that has ended."
    POSITION_AHEAD 409 "position_ahead" retry "The ledger has not reached the position"
        "Ask again shortly, or for a position that is reached. An instant is reached once the ledger's clock has passed it."
    AFTER_AHEAD 409 "after_ahead" final "The ledger has not reached `after`"
        "The position is of another ledger: read the state anew and go on from `head`."

    // The catalogue is refused.
    CATALOGUE_INVALID 422 "catalogue_invalid" final "The catalogue contradicts itself or the ledger"
        "Correct what `place` names as `detail` says."
    RANGE_EMPTY 422 "range_empty" final "No record lies in the range"
        "Name a `from` that is not behind `to` and not behind the ledger's `end`."
    API_SECRET_MALFORMED 422 "api_secret_malformed" final "The secret of the API key is not usable"
        "Send 16 to 128 visible ASCII characters that are not the key itself, or let the server make one."
    SIGNING_DISABLED 422 "signing_disabled" final "This server has nothing to keep secrets with"
        "Start the server with a `secrets_key`, or ask for a key that is not signed."
    WEBHOOK_URL_REFUSED 422 "webhook_url_refused" final "Nothing is sent to this URL"
        "Name a server that is reached by https at a public address, or have the operator allow its network."
    WEBHOOK_SECRET_MALFORMED 422 "webhook_secret_malformed" final "The secret of the webhook is not usable"
        "Send `whsec_` and 24 to 64 bytes in Base64, or let the server make one."
    API_KEY_MALFORMED 422 "api_key_malformed" final "The API key is not usable"
        "Send 8 to 128 visible ASCII characters."

    // The purchase is refused.
    CUSTOMER_UNKNOWN 422 "customer_unknown" final "The customer is not known"
        "Register the customer first, or let the tenant create customers at their first purchase."
    AMOUNT_NOT_POSITIVE 422 "amount_not_positive" final "The amount is zero or negative"
        "Send an amount of at least 1."
    AMOUNT_TOO_LARGE 422 "amount_too_large" final "The amount is above the largest"
        "Send an amount of at most `amount_max`."
    QUANTITY_NOT_POSITIVE 422 "quantity_not_positive" final "The quantity is zero or negative"
        "Send a quantity of at least 1."
    QUANTITY_TOO_LARGE 422 "quantity_too_large" final "The quantity is above the largest"
        "Send a quantity of at most `quantity_max`."
    LINES_TOO_MANY 422 "lines_too_many" final "There are too many lines"
        "Send at most `lines_max` lines."
    LINE_OUT_OF_RANGE 422 "line_out_of_range" final "A line's number is negative or too large"
        "Correct the line that `line` numbers, counted from 0."
    LINES_SUM_MISMATCH 422 "lines_sum_mismatch" final "The lines do not sum to the amount"
        "Make the amounts of the lines sum to `amount`."
    OCCURRED_IN_FUTURE 422 "occurred_in_future" final "It lies ahead of the ledger's clock"
        "Send an instant of at most `occurred_at_max`."
    PROMO_UNKNOWN 422 "promo_unknown" final "No promo has this code"
        "Send the code of a promo, or none."
    IDEMPOTENCY_KEY_REUSED 422 "idempotency_key_reused" final "Something else was asked under this Idempotency-Key"
        "Ask for the same again, or take a new key. `seq` is the record of what was asked."
    BALANCE_TOO_SMALL 422 "balance_too_small" final "There is less in the wallet than is to be taken"
        "Take at most `balance`."
    WALLET_FROZEN 422 "wallet_frozen" final "The wallet is frozen"
        "Have an operator make it active again, then send it again."
    WALLET_CLOSED 422 "wallet_closed" final "The wallet is closed"
        "Take another wallet: a closed one stays closed."
    WALLET_NOT_EMPTY 422 "wallet_not_empty" final "The wallet is not empty"
        "Move `balance` out of it first."
    WALLET_IS_DEFAULT 422 "wallet_is_default" final "The wallet that cashback goes to cannot be closed"
        "Freeze it, if nothing may go in or out."
    WALLETS_TOO_MANY 422 "wallets_too_many" final "The customer has as many wallets as there may be"
        "Take one of those that there are; closed ones count too. `wallets_max` says how many there may be."
    TIER_NONE 422 "tier_none" final "The customer does not stand in this tier programme yet"
        "A customer enters a programme with the first purchase."
    TIER_HIGHEST 422 "tier_highest" final "The customer stands on the highest level already"
        "There is nothing above it."
    TIER_LOWEST 422 "tier_lowest" final "The customer stands on the lowest level already"
        "There is nothing below it."
    BALANCE_TOO_LARGE 422 "balance_too_large" final "The wallet would pass the largest amount"
        "Have the wallet paid out first."
    POINTS_TOO_LARGE 422 "points_too_large" final "A sum of points would pass the largest amount"
        "Have the points spent first; all that was ever spent cannot pass 2^53 - 1 minor units."
    BALANCE_HELD 422 "balance_held" final "Too much of what is in the wallet is held"
        "Take at most `balance` minus `held`, or have a hold voided."
    WALLET_HELD 422 "wallet_held" final "Something in the wallet is held"
        "Have its holds settled or voided first."
    LIFE_OUT_OF_RANGE 422 "life_out_of_range" final "It cannot last for so long"
        "Send `expires_in_seconds` of 1 to `expires_in_seconds_max`."
    HOLDS_TOO_MANY 422 "holds_too_many" final "The customer has as many open holds as there may be"
        "Settle or void some of them: at most `holds_max` are open at once."
    HOLD_CLOSED 422 "hold_closed" final "The hold is closed"
        "It was settled or voided, it has expired, or it is another partner's. Place another one."
    HOLD_EXCEEDED 422 "hold_exceeded" final "More is to be settled than is held"
        "Settle at most `held`."
    TRANSFER_TARGET_NOT_FOUND 422 "transfer_target_not_found" final "There is no such customer to send money to"
        "Check the name in `to`: the customer must be there, and of the same tenant."
    TRANSFER_TO_ITSELF 422 "transfer_to_itself" final "The money would go where it comes from"
        "Name another wallet."
    TARGET_WALLET_NOT_FOUND 422 "target_wallet_not_found" final "The other customer has no such wallet"
        "Take a number from that customer's wallets. The money is where it was."
    TARGET_WALLET_FROZEN 422 "target_wallet_frozen" final "The wallet that the money would go to is frozen"
        "Have an operator make it active again, then send it again. The money is where it was."
    TARGET_WALLET_CLOSED 422 "target_wallet_closed" final "The wallet that the money would go to is closed"
        "Take another wallet: a closed one stays closed. The money is where it was."
    TARGET_CURRENCY_DIFFERS 422 "target_currency_differs" final "The two wallets count different currencies"
        "Take a wallet of the same currency: nothing is converted. The money is where it was."
    TARGET_BALANCE_TOO_LARGE 422 "target_balance_too_large" final "The wallet that the money would go to would pass the largest amount"
        "Have that wallet paid out first. The money is where it was."
    INVOICE_PAID 422 "invoice_paid" final "The invoice is paid"
        "An invoice is paid once: nothing is left to do."
    INVOICE_CANCELLED 422 "invoice_cancelled" final "The invoice was taken back"
        "Ask its partner for another one."
    INVOICE_REVERSED 422 "invoice_reversed" final "The payment of the invoice was taken back"
        "Ask its partner for another one: an invoice is paid once."
    OPERATION_NOT_REVERSIBLE 422 "operation_not_reversible" final "An operation of this kind is not reversed"
        "Deposits, payments, settled holds and redemptions are. Adjust a wallet by hand, refund a purchase, or send a transfer back."
    OPERATION_REVERSED 422 "operation_reversed" final "The operation is reversed already"
        "Nothing is left to do."
    REVERSALS_TOO_MANY 422 "reversals_too_many" final "As many operations of the customer are reversed as may be"
        "Put the wallet right by an adjustment: at most `reversals_max` operations of a customer are reversed."
    RISK_CHECK_NOT_FOUND 404 "risk_check_not_found" final "The record holds no check of risk rules"
        "Take the `seq` of a check, as `GET /v1/risk-checks` lists them."
    RISK_CHECK_ARCHIVED 422 "risk_check_archived" final "The check is archived already"
        "Nothing is left to do: it is listed with `archived=true`."
    CUSTOMER_ERASED 422 "customer_erased" final "The customer is erased"
        "Nothing more is kept of who that is; money and points stay, and are used without names."
    REVIEW_NOT_FOUND 404 "review_not_found" final "The tenant has set nothing aside in this record"
        "Take the `review` of an open review, as `GET /v1/reviews` lists them."
    REVIEW_CLOSED 422 "review_closed" final "The review is over"
        "It was released or rejected: what became of it stands under the key of whoever had asked."
    REVIEW_REJECTED 422 "review_rejected" final "The operation was set aside, and an operator refused it"
        "No money moved. Ask an operator why."
    REVIEWS_TOO_MANY 422 "reviews_too_many" final "As many operations are set aside as may be"
        "Have an operator release or reject some: at most `reviews_max` wait at once. Then ask again under another key."
    INVOICE_EXPIRED 422 "invoice_expired" final "The invoice was not paid in time"
        "Ask its partner for another one."
    INVOICE_AMOUNT_DIFFERS 422 "invoice_amount_differs" final "The invoice is for another amount"
        "Send `invoice_amount`: an invoice is paid in full and not otherwise."
    INVOICE_CURRENCY_DIFFERS 422 "invoice_currency_differs" final "The wallet counts another currency than the invoice"
        "Take a wallet of the invoice's currency: nothing is converted."
    RISK_BLOCKED 422 "risk_blocked" final "A risk rule of the tenant blocks it"
        "Have an operator look at it: the log of checks says which rule."
    OFFER_CLOSED 422 "offer_closed" final "The offer cannot be redeemed now"
        "Look at its period and whether it is active."
    QUANTITY_OUT_OF_RANGE 422 "quantity_out_of_range" final "So many units cannot be redeemed at once"
        "Send a quantity of 1 to `quantity_max`."
    STOCK_EXHAUSTED 422 "stock_exhausted" final "Fewer units are left than asked for"
        "Ask for at most `stock` minus `redeemed`, or for another offer."
    POINTS_TOO_FEW 422 "points_too_few" final "The customer has fewer points than that costs"
        "Ask for less: one unit costs `price`, and the customer has `points`."

    // The refund is refused.
    PURCHASE_REFUSED 422 "purchase_refused" final "The purchase was refused, so nothing of it was booked"
        "`reason` says why it was refused; there is nothing to take back."
    REFUND_EXCEEDS_REMAINDER 422 "refund_exceeds_remainder" final "More is to be refunded than remains of the purchase"
        "Refund at most `remaining`."
    REFUND_LINES_REQUIRED 422 "refund_lines_required" final "A part of a purchase with lines is refunded by lines"
        "Send `lines`, or as `amount` all that remains: `remaining`."
    REFUND_LINE_NOT_BOUGHT 422 "refund_line_not_bought" final "No line of the purchase is of this product"
        "Correct the line that `line` numbers, counted from 0; a purchase without lines is refunded by `amount`."
    REFUND_LINE_EXCEEDS_REMAINDER 422 "refund_line_exceeds_remainder" final "More of a product is to be refunded than remains"
        "Refund at most `remaining_quantity` for `remaining_amount` of the product of the line that `line` numbers, counted from 0."
    REFUNDS_TOO_MANY 422 "refunds_too_many" final "The purchase has as many refunds as there may be"
        "A purchase has at most `refunds_max` refunds."

    // People.
    ACCOUNT_NOT_FOUND 404 "account_not_found" final "There is no such account"
        "Check the id or the username, and the tenant."
    USERNAME_TAKEN 409 "username_taken" final "Another account has the username"
        "Take another one, or log in."
    CUSTOMER_EXISTS 409 "customer_exists" final "There is a customer of this e-mail address already"
        "Have an admin create the account: who registers has not shown that the address is theirs."
    ACCOUNT_OWN 422 "account_own" final "Nobody changes the own account so"
        "Have another admin do it; the own password is changed by `PUT /v1/auth/password`."
    ACCOUNT_ROLE_FIXED 422 "account_role_fixed" final "A customer's account stays one, and no other becomes one"
        "Create another account."
    PASSWORD_WRONG 422 "password_wrong" final "The present password is wrong"
        "Send the password as it is in `password`."

    // More than the caller may.
    LOGIN_LIMITED 429 "login_limited" retry "Too many log-ins were tried"
        "Try again after `Retry-After` seconds."
    RATE_LIMITED 429 "rate_limited" retry "The partner sends more requests than it may"
        "Nothing was done: send at most `requests_per_second`; `RateLimit` tells what is left, `Retry-After` when to go on. A stream is one request."
    TOO_MANY_AT_ONCE 429 "too_many_at_once" retry "The caller has more requests under way than it may"
        "Nothing was done: have at most `requests_at_once` under way, and send it again once one is answered."

    // The server.
    INTERNAL 500 "internal" final "Something went wrong here"
        "Tell the operator the `request_id`."
    OVERLOADED 503 "overloaded" retry "More is in flight than the ledger takes"
        "Nothing was done: send it again after `Retry-After` seconds."
    WHAT_IF_RUNNING 503 "what_if_running" retry "Another what-if is under way"
        "One runs at a time: ask again after `Retry-After` seconds."
    READ_ONLY 503 "read_only" retry "The disk of the ledger is nearly full"
        "Nothing was done. Reads go on; send it again once the operator has made room."
    CLOCK_OFF 503 "clock_off" retry "The server's clock has jumped"
        "Set the clock right. If it is right, and was wrong when the server started, restart the server."
    ENGINE_STOPPED 503 "engine_stopped" retry "The ledger has stopped"
        "The outcome is unknown: send it again with the same origin id once the server is ready."
}

/// Finds a code by its text.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|known| known.code == code)
}

/// Returns the code that a refusal is shown under.
pub(crate) fn of_rejection(code: RejectionCode) -> &'static Code {
    match code {
        RejectionCode::CustomerUnknown => &CUSTOMER_UNKNOWN,
        RejectionCode::AmountNotPositive => &AMOUNT_NOT_POSITIVE,
        RejectionCode::AmountTooLarge => &AMOUNT_TOO_LARGE,
        RejectionCode::QuantityNotPositive => &QUANTITY_NOT_POSITIVE,
        RejectionCode::QuantityTooLarge => &QUANTITY_TOO_LARGE,
        RejectionCode::LinesTooMany => &LINES_TOO_MANY,
        RejectionCode::LineOutOfRange => &LINE_OUT_OF_RANGE,
        RejectionCode::LinesSumMismatch => &LINES_SUM_MISMATCH,
        RejectionCode::OccurredInFuture => &OCCURRED_IN_FUTURE,
        RejectionCode::PromoUnknown => &PROMO_UNKNOWN,
        RejectionCode::BalanceTooLarge => &BALANCE_TOO_LARGE,
        RejectionCode::PointsTooLarge => &POINTS_TOO_LARGE,
        RejectionCode::WalletFrozen => &WALLET_FROZEN,
        RejectionCode::RiskBlocked => &RISK_BLOCKED,
    }
}

/// Returns the code that the refusal of an operation is shown under.
pub(crate) fn of_operation_rejection(rejection: &OperationRejection) -> &'static Code {
    match rejection {
        OperationRejection::CustomerUnknown => &CUSTOMER_NOT_FOUND,
        OperationRejection::AmountNotPositive { .. } => &AMOUNT_NOT_POSITIVE,
        OperationRejection::AmountTooLarge { .. } => &AMOUNT_TOO_LARGE,
        OperationRejection::BalanceTooLarge { .. } => &BALANCE_TOO_LARGE,
        OperationRejection::BalanceTooSmall { .. } => &BALANCE_TOO_SMALL,
        OperationRejection::PointsTooLarge { .. } => &POINTS_TOO_LARGE,
        OperationRejection::WalletUnknown => &WALLET_NOT_FOUND,
        OperationRejection::WalletFrozen => &WALLET_FROZEN,
        OperationRejection::WalletClosed => &WALLET_CLOSED,
        OperationRejection::WalletNotEmpty { .. } => &WALLET_NOT_EMPTY,
        OperationRejection::WalletIsDefault => &WALLET_IS_DEFAULT,
        OperationRejection::WalletsTooMany { .. } => &WALLETS_TOO_MANY,
        OperationRejection::ProgramUnknown => &TIER_PROGRAM_NOT_FOUND,
        OperationRejection::TierNone => &TIER_NONE,
        OperationRejection::TierHighest => &TIER_HIGHEST,
        OperationRejection::TierLowest => &TIER_LOWEST,
        OperationRejection::OccurredInFuture { .. } => &OCCURRED_IN_FUTURE,
        OperationRejection::OfferUnknown => &OFFER_NOT_FOUND,
        OperationRejection::OfferClosed => &OFFER_CLOSED,
        OperationRejection::QuantityOutOfRange { .. } => &QUANTITY_OUT_OF_RANGE,
        OperationRejection::StockExhausted { .. } => &STOCK_EXHAUSTED,
        OperationRejection::PointsTooFew { .. } => &POINTS_TOO_FEW,
        OperationRejection::Refund(rejection) => of_refund_rejection(rejection),
        OperationRejection::BalanceHeld { .. } => &BALANCE_HELD,
        OperationRejection::WalletHeld { .. } => &WALLET_HELD,
        OperationRejection::LifeOutOfRange { .. } => &LIFE_OUT_OF_RANGE,
        OperationRejection::HoldsTooMany { .. } => &HOLDS_TOO_MANY,
        OperationRejection::HoldUnknown => &HOLD_NOT_FOUND,
        OperationRejection::HoldClosed => &HOLD_CLOSED,
        OperationRejection::HoldExceeded { .. } => &HOLD_EXCEEDED,
        OperationRejection::RiskBlocked { .. } => &RISK_BLOCKED,
        OperationRejection::InvoiceUnknown => &INVOICE_NOT_FOUND,
        OperationRejection::InvoicePaid => &INVOICE_PAID,
        OperationRejection::InvoiceReversed => &INVOICE_REVERSED,
        OperationRejection::RiskCheckArchived => &RISK_CHECK_ARCHIVED,
        OperationRejection::CustomerErased => &CUSTOMER_ERASED,
        OperationRejection::ReviewRejected => &REVIEW_REJECTED,
        OperationRejection::ReviewClosed => &REVIEW_CLOSED,
        OperationRejection::ReviewsTooMany { .. } => &REVIEWS_TOO_MANY,
        OperationRejection::NotReversible => &OPERATION_NOT_REVERSIBLE,
        OperationRejection::Reversed => &OPERATION_REVERSED,
        OperationRejection::ReversalsTooMany { .. } => &REVERSALS_TOO_MANY,
        OperationRejection::InvoiceCancelled => &INVOICE_CANCELLED,
        OperationRejection::InvoiceExpired => &INVOICE_EXPIRED,
        OperationRejection::InvoiceAmountDiffers { .. } => &INVOICE_AMOUNT_DIFFERS,
        OperationRejection::InvoiceCurrencyDiffers => &INVOICE_CURRENCY_DIFFERS,
        OperationRejection::TransferTargetUnknown => &TRANSFER_TARGET_NOT_FOUND,
        OperationRejection::TransferToItself => &TRANSFER_TO_ITSELF,
        OperationRejection::TransferDeclined(refusal) => match refusal {
            TransferRefusal::WalletUnknown => &TARGET_WALLET_NOT_FOUND,
            TransferRefusal::WalletFrozen => &TARGET_WALLET_FROZEN,
            TransferRefusal::WalletClosed => &TARGET_WALLET_CLOSED,
            TransferRefusal::OtherCurrency => &TARGET_CURRENCY_DIFFERS,
            TransferRefusal::BalanceTooLarge => &TARGET_BALANCE_TOO_LARGE,
        },
    }
}

const fn of_refund_rejection(rejection: &RefundRejection) -> &'static Code {
    match rejection {
        RefundRejection::AmountNotPositive { .. } => &AMOUNT_NOT_POSITIVE,
        RefundRejection::AmountTooLarge { .. } => &AMOUNT_TOO_LARGE,
        RefundRejection::LinesTooMany { .. } => &LINES_TOO_MANY,
        RefundRejection::LineOutOfRange { .. } => &LINE_OUT_OF_RANGE,
        RefundRejection::ExceedsRemainder { .. } => &REFUND_EXCEEDS_REMAINDER,
        RefundRejection::LinesRequired { .. } => &REFUND_LINES_REQUIRED,
        RefundRejection::LineNotBought { .. } => &REFUND_LINE_NOT_BOUGHT,
        RefundRejection::LineExceedsRemainder { .. } => &REFUND_LINE_EXCEEDS_REMAINDER,
        RefundRejection::RefundsTooMany { .. } => &REFUNDS_TOO_MANY,
        RefundRejection::BalanceTooSmall { .. } => &BALANCE_TOO_SMALL,
    }
}

/// Renders the page of a code, plain text.
#[must_use]
pub fn page(code: &Code) -> String {
    let retry = if code.retryable { "The same request can succeed later." } else { "Change the request first." };
    format!("{}\n\n{}\nStatus {}. {retry}\n\n{}\n", code.code, code.title, code.status, code.remedy)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = BTreeSet::new();
        for code in ALL {
            assert!(seen.insert(code.code), "{} stands twice", code.code);
            assert!(code.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", code.code);
            assert!((400..600).contains(&code.status), "{}", code.code);
        }
    }

    #[test]
    fn a_refusal_is_shown_under_the_code_that_the_core_gives_it() {
        for code in RejectionCode::ALL {
            assert_eq!(of_rejection(code).code, code.as_str());
            assert_eq!(of_rejection(code).status, 422);
        }
    }
}
