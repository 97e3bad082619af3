-- What a purchase does in Kembali, in PostgreSQL: the same purchase is booked once, a promo's quota is never overdrawn, a tier is counted
-- and its milestones pay, the wallet changes together with its entry, and all of it is durable when the call returns.
--
-- Left out, to the database's favour: gaps between purchases, rules in versions, refusals, house accounts, and the whole decision in the
-- answer: here it is the points alone. A customer's place in the Journey programme is one number, counted over all levels. And one thing
-- is expected of who calls: a purchase's id always comes with the same customer, and one customer's purchases by one connection.

create table promo (
    code text primary key,
    quota bigint not null,
    used bigint not null default 0,
    starts_at timestamptz not null,
    ends_at timestamptz not null
) with (fillfactor = 10);

create table band (
    code text not null references promo,
    quantity int4range not null,
    amount int8range not null,
    percent numeric not null
);

create table step (
    place bigint primary key,
    points bigint not null
);

create table customer (
    id bigint generated always as identity primary key,
    ref text not null unique,
    place bigint not null default 0,
    balance bigint not null default 0
) with (fillfactor = 70);

create table purchase (
    seq bigint generated always as identity,
    origin_id text primary key,
    customer bigint not null,
    amount bigint not null,
    quantity bigint not null,
    store text,
    code text,
    occurred_at timestamptz not null
);

create table entry (
    purchase bigint not null,
    customer bigint not null,
    transaction bigint not null,
    loyalty bigint not null
);

-- The rules of the Journey programme.
insert into promo values ('JOURNEY2017', 10000, 0, '2017-01-01 00:00:00+07', '2017-12-31 23:59:59+07');
insert into band values
    ('JOURNEY2017', '[1,1]', '[0,100000)', 1.20),
    ('JOURNEY2017', '[1,1]', '[100000,500000)', 1.75),
    ('JOURNEY2017', '[1,1]', '[500000,1000000)', 2.30),
    ('JOURNEY2017', '[2,2]', '[500000,1000000)', 2.45),
    ('JOURNEY2017', '[2,2]', '[1000000,1500000)', 2.75),
    ('JOURNEY2017', '[2,2]', '[1500000,)', 2.95),
    ('JOURNEY2017', '[3,)', '[1500000,)', 3.35);
insert into step values
    (3, 15000), (5, 25000), (7, 35000), (10, 17500), (12, 28500), (14, 37500), (17, 18000), (19, 29000), (21, 38000);

-- Books one purchase, and returns its points; null for one that is booked already.
create function book(sent_id text, sent_ref text, sent_amount bigint, sent_quantity bigint, sent_store text, sent_code text, sent_at timestamptz)
returns bigint language plpgsql as $$
declare
    whose customer;
    number bigint;
    share numeric;
    transaction bigint := 0;
    loyalty bigint := 0;
begin
    select * into whose from customer where ref = sent_ref for update;
    if not found then
        insert into customer (ref) values (sent_ref)
            on conflict (ref) do update set ref = excluded.ref returning * into whose;
    end if;
    insert into purchase (origin_id, customer, amount, quantity, store, code, occurred_at)
        values (sent_id, whose.id, sent_amount, sent_quantity, sent_store, sent_code, sent_at)
        on conflict (origin_id) do nothing returning seq into number;
    if not found then
        return null;
    end if;
    select points into loyalty from step where place = whose.place + 1;
    loyalty := coalesce(loyalty, 0);
    -- The row of a promo is locked until the commit: last, and not at all once nothing is left of it.
    if exists (select from promo
            where code = sent_code and used < quota and sent_at between starts_at and ends_at) then
        select percent into share from band
            where code = sent_code and quantity @> sent_quantity::int and amount @> sent_amount;
        if found then
            update promo set used = used + 1 where code = sent_code and used < quota;
            if found then
                transaction := round(sent_amount * share / 100);
            end if;
        end if;
    end if;
    update customer set place = place + 1, balance = balance + transaction + loyalty where id = whose.id;
    if transaction + loyalty > 0 then
        insert into entry values (number, whose.id, transaction, loyalty);
    end if;
    return transaction + loyalty;
end $$;

-- Books many at once, set by set, and returns the points of each; null for one that is booked already.
create function book_all(ids text[], refs text[], amounts bigint[], quantities bigint[], stores text[], codes text[], ats timestamptz[])
returns bigint[] language plpgsql as $$
declare
    points bigint[];
begin
    insert into customer (ref)
        select distinct sent.ref from unnest(refs) as sent (ref)
            where not exists (select from customer where customer.ref = sent.ref)
            order by 1
        on conflict (ref) do nothing;
    perform from customer where ref = any (refs) order by id for update;
    perform from promo where code = any (codes) and used < quota order by code for update;
    with sent as (
        select *, row_number() over (partition by origin_id order by n) as copy
            from unnest(ids, refs, amounts, quantities, stores, codes, ats) with ordinality
                as t (origin_id, ref, amount, quantity, store, code, at, n)
    ), fresh as (
        insert into purchase (origin_id, customer, amount, quantity, store, code, occurred_at)
            select s.origin_id, c.id, s.amount, s.quantity, s.store, s.code, s.at
                from sent s join customer c on c.ref = s.ref where s.copy = 1 order by s.n
            on conflict (origin_id) do nothing
            returning *
    ), judged as (
        select f.seq, f.origin_id, f.customer, f.amount, f.code,
               coalesce(step.points, 0) as loyalty,
               band.percent,
               promo.quota - promo.used as room,
               row_number() over (partition by f.code, band.percent is null order by f.seq) as nth
            from (select fresh.*, c.place + row_number() over (partition by fresh.customer order by fresh.seq) as place
                      from fresh join customer c on c.id = fresh.customer) f
            left join step on step.place = f.place
            left join promo on promo.code = f.code and promo.used < promo.quota
                and f.occurred_at between promo.starts_at and promo.ends_at
            left join band on band.code = promo.code and band.quantity @> f.quantity::int and band.amount @> f.amount
    ), earned as (
        select *, percent is not null and nth <= room as granted,
               case when percent is not null and nth <= room then round(amount * percent / 100)::bigint else 0 end as transaction
            from judged
    ), counted as (
        update promo set used = used + own.units
            from (select code, count(*) as units from earned where granted group by code) own
            where promo.code = own.code
    ), moved as (
        update customer set place = place + own.count, balance = balance + own.points
            from (select earned.customer, count(*), sum(transaction + loyalty)::bigint as points from earned group by 1) own
            where customer.id = own.customer
    ), booked as (
        insert into entry
            select seq, earned.customer, transaction, loyalty from earned where transaction + loyalty > 0
    )
    select array_agg(earned.transaction + earned.loyalty order by sent.n) into points
        from sent left join earned on earned.origin_id = sent.origin_id and sent.copy = 1;
    return points;
end $$;
