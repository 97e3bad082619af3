//! The marketplace's GraphQL.

use std::sync::Arc;

use async_graphql::{Context, EmptySubscription, InputObject, Object, Result, SimpleObject};

use crate::dompet::Billing;
use crate::orders::{Order, Orders, Person, Shown};

/// Tokens are numbers of people behind this: nothing here is worth guarding.
const TOKEN_START: &str = "person-";

pub(crate) type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// Who asks, and what is hidden from them.
pub(crate) struct Caller {
    pub(crate) token: Option<String>,
    pub(crate) forgets: bool,
}

pub(crate) fn of(orders: Arc<Orders>, dompet: Arc<Billing>) -> Schema {
    Schema::build(Query, Mutation, EmptySubscription).data(orders).data(dompet).finish()
}

pub(crate) struct Query;

#[Object]
impl Query {
    /// The order that is paid under a number.
    #[graphql(name = "getOrderByVA")]
    async fn get_order_by_va(&self, ctx: &Context<'_>, va_number: String) -> Result<Option<Shown>> {
        let found = ctx.data::<Arc<Orders>>()?.find(&va_number);
        Ok(found.filter(|_| !ctx.data::<Caller>().is_ok_and(|caller| caller.forgets)).map(Shown::from))
    }
}

#[derive(SimpleObject)]
struct User {
    id: String,
    nama: String,
    email: String,
}

#[derive(SimpleObject)]
struct LoggedIn {
    token: String,
    user: User,
}

#[derive(InputObject)]
struct OrderInput {
    product_id: String,
    quantity: u32,
    alamat_pengiriman: String,
    metode_pengiriman: String,
    kota_tujuan_id: Option<String>,
}

pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn register(&self, ctx: &Context<'_>, nama: String, email: String, password: String) -> Result<User> {
        let person = Person { name: nama.clone(), email: email.clone(), password };
        let id = ctx.data::<Arc<Orders>>()?.register(person).ok_or("Email sudah terdaftar")?;
        Ok(User { id: id.to_string(), nama, email })
    }

    async fn login(&self, ctx: &Context<'_>, email: String, password: String) -> Result<LoggedIn> {
        let (id, nama) = ctx.data::<Arc<Orders>>()?.log_in(&email, &password).ok_or("Email atau password salah")?;
        Ok(LoggedIn { token: format!("{TOKEN_START}{id}"), user: User { id: id.to_string(), nama, email } })
    }

    /// Orders something, and has a bill sent for it.
    async fn create_order(&self, ctx: &Context<'_>, input: OrderInput) -> Result<Shown> {
        let orders = ctx.data::<Arc<Orders>>()?;
        let token = ctx.data::<Caller>()?.token.as_deref();
        let person = token.and_then(|token| token.strip_prefix(TOKEN_START)?.parse().ok());
        if !person.is_some_and(|person| orders.is_known(person)) {
            return Err("Unauthorized".into());
        }
        if !(1..=1_000).contains(&input.quantity) {
            return Err("quantity harus 1 sampai 1000".into());
        }
        // Where the parcel goes costs the same everywhere.
        drop(input.kota_tujuan_id);
        let order = Order {
            id: 0,
            product: input.product_id,
            quantity: input.quantity,
            address: input.alamat_pengiriman,
            shipping: input.metode_pengiriman,
            va_number: String::new(),
            shipments: 0,
        };
        let va_number = match ctx.data::<Arc<Billing>>()?.get() {
            None => offline(orders),
            Some(dompet) => {
                let amount = order.total();
                let billed = tokio::task::spawn_blocking(move || dompet.bill(amount)).await?;
                billed.unwrap_or_else(|_| offline(orders))
            }
        };
        Ok(orders.add(Order { va_number, ..order }).into())
    }

    /// Hears that an order is paid, whatever `status` says.
    async fn update_payment_status(&self, ctx: &Context<'_>, va_number: String, status: String) -> Result<bool> {
        drop(status);
        let is_forgotten = ctx.data::<Caller>()?.forgets;
        Ok(!is_forgotten && ctx.data::<Arc<Orders>>()?.paid(&va_number))
    }
}

/// A number that no bill has.
fn offline(orders: &Orders) -> String {
    format!("OFFLINE-{}", orders.all().len() + 1)
}
